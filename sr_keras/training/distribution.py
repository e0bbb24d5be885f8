"""Training on several devices: what Keras and TensorFlow do not do by themselves."""

import contextlib
import os

import keras
import numpy as np
import tensorflow as tf

from sr_keras import features

NAMES = ("mirrored", "multi_worker")
_VARIABLES = tuple(
    f"KERAS_DISTRIBUTION_{name}"
    for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


def open_strategy(name, recipe):
    """Returns what a network must be built under, to be trained on several devices.

    "mirrored" is for all GPUs of a machine (or its logical CPUs, if it has no GPU),
    by TensorFlow. "multi_worker" is for several machines, by JAX: each runs the same
    program, which waits here for the others. From here on a process belongs to
    them, and what Keras computes is computed by all, but for what is `local`.

    In both, a device gets its share of every batch, and gradients are those of the
    whole batch. Statistics of batch normalization are those of the share under
    "mirrored", and of the whole batch under "multi_worker".

    Args:
        name: None for one device, "mirrored" or "multi_worker".
        recipe: The `Recipe`; its batches are those of all devices together.

    Returns:
        An object with a `scope()`, for `scope` below.

    Raises:
        ValueError: If there is no such strategy, Keras runs on another backend than
            it needs, there is only one device, the batch cannot be divided,
            "multi_worker" is not told which process this is, or the recipe has what
            would not be the same on several devices.
    """
    if name is None:
        return tf.distribute.get_strategy()
    if name not in NAMES:
        raise ValueError(f"`distribute` must be {' or '.join(NAMES)}. Received: {name}")
    needed = "tensorflow" if name == "mirrored" else "jax"
    if keras.backend.backend() != needed:
        raise ValueError(
            f"{name} needs the environment variable KERAS_BACKEND={needed}."
            f" Keras runs on {keras.backend.backend()}."
        )
    if name == "mirrored":
        if recipe.clip_norm is not None:
            raise ValueError(
                "mirrored cannot limit the norm of the gradient: Keras would clip the"
                " share of each replica. Leave out the clip norm."
            )
        kinds = map(tf.config.list_logical_devices, ("GPU", "CPU"))
        devices = [device.name for device in next(filter(None, kinds))]
        if len(devices) == 1:
            raise ValueError(f"mirrored needs several GPUs. There is: {devices[0]}")
        strategy = tf.distribute.MirroredStrategy(devices)
    else:
        devices, strategy = _join_processes(recipe)
    if recipe.batch_size % len(devices):
        raise ValueError(
            f"The batch size must be a multiple of the {len(devices)} devices."
            f" Received: {recipe.batch_size}"
        )
    return strategy


def _join_processes(recipe):
    import jax

    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise ValueError(
            "multi_worker needs environment variables, see the README. Missing:"
            f" {', '.join(missing)}"
        )
    if recipe.precision == "auto":
        raise ValueError(
            "multi_worker needs a precision, the same on every machine, where auto"
            " depends on the machine."
        )
    if not jax.distributed.is_initialized():
        tf.config.set_visible_devices([], "GPU")  # it would take the memory from JAX
        keras.distribution.initialize()
    strategy = keras.distribution.DataParallel()
    # for good, because `fit` must be under it as well
    keras.distribution.set_distribution(strategy)
    return keras.distribution.list_devices(), strategy


@contextlib.contextmanager
def scope(strategy):
    """A strategy's scope, at whose end the losses made in it have their networks too.

    They would else be made in the first step, by each replica of a
    `tf.distribute.Strategy`, which fails.
    """
    others = features.waiting()  # maybe never used, and their weights not at hand
    with strategy.scope():
        yield
        if getattr(strategy, "num_replicas_in_sync", 1) > 1:
            for extractor in features.waiting():
                if extractor not in others:
                    extractor.build()


@contextlib.contextmanager
def local():
    """Within it, Keras computes on this process's device, without the others."""
    strategy = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(strategy)


def num_processes():
    """Returns how many processes train together."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return jax.process_count()


def is_first_process():
    """Returns whether this is the process that writes files."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return jax.process_index() == 0


def is_asked_to_stop(step):
    """Returns whether processes that train together end after this step.

    After a SIGTERM to one of them they agree on a step, if each calls this after
    every step.
    """
    if num_processes() == 1:
        return False
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)


def check_same_step(step):
    """Raises a ValueError unless all processes found the state of the same step."""
    if num_processes() == 1:
        return
    from jax.experimental import multihost_utils

    steps = multihost_utils.process_allgather(np.array([step])).ravel().tolist()
    if len(set(steps)) > 1:
        raise ValueError(
            "The processes found the states of different steps, in their order:"
            f" {', '.join(map(str, steps))}. Copy the folder of the first to the"
            " other machines, or let it be on a disk that they share."
        )


def check_tensorflow(model):
    """Raises a ValueError for a model whose `train_step` is TensorFlow's, elsewhere."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A {type(model).__name__} is trained by TensorFlow alone. Keras runs on"
            f" {keras.backend.backend()}."
        )
