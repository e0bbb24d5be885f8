"""Training on several devices: what Keras and TensorFlow leave to the caller."""

import contextlib
import os

import keras
import numpy as np

from sr_keras import features
from sr_keras.checks import check_option

NAMES = ("mirrored", "multi_worker")
_VARIABLES = tuple(
    f"KERAS_DISTRIBUTION_{name}"
    for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


def open_strategy(name, recipe):
    """Returns the strategy under which a network is built for several devices.

    "mirrored" uses all GPUs of a machine (or its logical CPUs if it has no GPU), with
    TensorFlow. "multi_worker" uses several machines, with JAX: each runs the same
    program, which waits here for the others. From then on all processes compute
    everything that Keras computes together, except what runs within `local`.

    With both, every device processes its share of each batch, and gradients are those
    of the whole batch. Batch normalization uses the statistics of the share under
    "mirrored", and those of the whole batch under "multi_worker".

    Args:
        name: None for one device, "mirrored" or "multi_worker".
        recipe: The `Recipe`. Its batch size is that of all devices together.

    Returns:
        An object with a `scope()`, for `scope` below.

    Raises:
        ValueError: If there is no such strategy, Keras runs on another backend than
            the strategy needs, there is only one device, the batch cannot be divided
            evenly, the environment variables for "multi_worker" are missing, or the
            recipe contains a setting that would have another effect on several
            devices.
    """
    import tensorflow as tf

    if name is None:
        return tf.distribute.get_strategy()
    check_option("distribute", name, NAMES)
    needed = "tensorflow" if name == "mirrored" else "jax"
    if keras.backend.backend() != needed:
        raise ValueError(
            f"{name} needs the environment variable KERAS_BACKEND={needed}."
            f" Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if name == "mirrored":
        if recipe.global_clipnorm is not None:
            raise ValueError(
                "`global_clipnorm` must be None under mirrored, because Keras would"
                " clip the gradient of each replica by itself. Received:"
                f" global_clipnorm={recipe.global_clipnorm}"
            )
        kinds = map(tf.config.list_logical_devices, ("GPU", "CPU"))
        devices = [device.name for device in next(filter(None, kinds))]
        if len(devices) == 1:
            raise ValueError(f"mirrored needs several GPUs. Found only: {devices[0]}")
        strategy = tf.distribute.MirroredStrategy(devices)
    else:
        devices, strategy = _join_processes(recipe)
    if recipe.batch_size % len(devices):
        raise ValueError(
            f"`batch_size` must be a multiple of the {len(devices)} devices."
            f" Received: batch_size={recipe.batch_size}"
        )
    return strategy


def _join_processes(recipe):
    import jax
    import tensorflow as tf

    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise ValueError(
            "multi_worker needs environment variables, see the README. Missing:"
            f" {', '.join(missing)}"
        )
    if recipe.precision == "auto":
        raise ValueError(
            "`precision` must be the same on every machine under multi_worker, but auto"
            " depends on the machine. Received: precision=auto"
        )
    if not jax.distributed.is_initialized():
        tf.config.set_visible_devices([], "GPU")  # it would take memory from JAX
        keras.distribution.initialize()
    strategy = keras.distribution.DataParallel()
    # permanently, because `fit` must run under it as well
    keras.distribution.set_distribution(strategy)
    return keras.distribution.list_devices(), strategy


@contextlib.contextmanager
def scope(strategy):
    """The scope of a strategy, in which losses create their networks at once.

    Otherwise they would be created in the first step by every replica of a
    `tf.distribute.Strategy`, which fails.
    """
    several = getattr(strategy, "num_replicas_in_sync", 1) > 1
    with strategy.scope(), features.built_at_once(several):
        yield


@contextlib.contextmanager
def local():
    """Within this context, Keras computes on the device of this process alone."""
    strategy = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(strategy)


def num_processes():
    """Returns the number of processes that train together."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    # `process_count` starts JAX, after which processes can no longer join.
    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first_process(distribute=None):
    """Returns whether this is the process that writes files.

    Args:
        distribute: The strategy that is going to be opened, if that has not happened.
    """
    if keras.backend.backend() != "jax":
        return True
    import jax

    if jax.distributed.is_initialized():
        return jax.process_index() == 0
    return distribute != "multi_worker" or os.environ.get(_VARIABLES[-1]) in (None, "0")


def is_asked_to_stop(step):
    """Returns whether processes that train together stop after this step.

    When one of them receives SIGTERM they agree on a step, provided that each calls
    this function after every step.
    """
    if num_processes() == 1:
        return False
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)


def check_same_step(step):
    """Raises a ValueError unless all processes have loaded the same step."""
    if num_processes() == 1:
        return
    from jax.experimental import multihost_utils

    steps = multihost_utils.process_allgather(np.array([step])).ravel().tolist()
    if len(set(steps)) > 1:
        raise ValueError(
            "All processes must resume from the same step. Received, in the order of"
            f" the processes: {', '.join(map(str, steps))}. Copy the folder of the"
            " first to the other machines, or use a folder that they share."
        )


def check_backend(model):
    """Raises a ValueError unless a model can be trained on the backend of Keras."""
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            f"A {type(model).__name__} can be trained on TensorFlow and JAX. Received:"
            f" KERAS_BACKEND={keras.backend.backend()}"
        )
