"""What the notebooks of the course share: their first cell, and checks of answers."""

import os
import types
import warnings

import keras
import numpy as np
import tensorflow as tf


def start(minutes, **settings):
    """Says what hardware there is, what that means for a lesson, and what follows.

    The environment variable `SR_KERAS_FAST=1` shortens a lesson to what a test of
    it needs. The random numbers of Python, NumPy and Keras start from 0.

    Args:
        minutes: How long the lesson takes: (FAST, CPU, GPU).
        **settings: The lesson's settings, such as numbers of steps, each a triple
            (FAST, CPU, GPU).

    Returns:
        A namespace with the settings chosen, and `fast` and `gpu`, which are bools.

    Raises:
        ValueError: If something has not three values.
    """
    for name, values in {"minutes": minutes, **settings}.items():
        if len(values) != 3:
            raise ValueError(
                f"`{name}` must be a triple (FAST, CPU, GPU). Received: {values}"
            )
    gpus = tf.config.list_physical_devices("GPU")
    fast = os.environ.get("SR_KERAS_FAST", "") not in ("", "0")
    column = 0 if fast else 2 if gpus else 1
    chosen = {name: values[column] for name, values in settings.items()}

    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
    print(f"Hardware: {_hardware(gpus)}.")
    if fast:
        print("FAST is on: everything is shortened, and the scores are lower.")
    else:
        kind = "a GPU (an estimate)" if gpus else "two CPU cores"
        print(f"This lesson computes for about {minutes[column]:g} min on {kind}.")
    if chosen:
        print("Settings:", ", ".join(f"{k} = {v}" for k, v in chosen.items()))
        if not gpus and "COLAB_RELEASE_TAG" in os.environ:
            print("For a GPU: Runtime > Change runtime type, and start again.")
    # in notebooks, warnings stand among the results; of the second, the default of
    # `fit`, Keras warns whenever it is given a tf.data.Dataset
    tf.get_logger().setLevel("ERROR")
    warnings.filterwarnings("ignore", "`shuffle=True` was passed")
    keras.utils.set_random_seed(0)
    return types.SimpleNamespace(**chosen, fast=fast, gpu=bool(gpus))


def _hardware(gpus):
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} x {details.get('device_name', 'GPU')}"
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count()
    return f"{cores} CPU core{'s' if cores > 1 else ''}, no GPU"


def check(answer, expected, tolerance=1e-4):
    """Says whether an answer to an exercise is right, without telling the solution.

    Args:
        answer: A number or an array; None while there is no answer.
        expected: What it should be.
        tolerance: How far each value may be off.
    """
    if answer is None or answer is ...:
        print("No answer yet.")
        return
    answer, expected = np.asarray(answer), np.asarray(expected)
    if answer.shape != expected.shape:
        print(f"Not yet: the shape is {answer.shape}, and should be {expected.shape}.")
    elif not np.allclose(answer, expected, rtol=0, atol=tolerance):
        print("Not yet: the shape fits, the values do not.")
    else:
        print("Right!")
