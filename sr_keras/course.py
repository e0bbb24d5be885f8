"""What the course notebooks share: the first cell, and checks of answers."""

import base64
import json
import os
import pathlib
import types
import warnings

import keras
import numpy as np
import tensorflow as tf

from sr_keras.checks import check_name


def start(minutes, **settings):
    """Prints the hardware and how long the lesson takes, and chooses its settings.

    If the environment variable `SR_KERAS_FAST` is 1, the lesson is shortened to what
    its test needs. The random seed of Python, NumPy and Keras is set to 0.

    Args:
        minutes: Duration of the lesson in minutes: (FAST, CPU, GPU).
        **settings: Settings of the lesson, such as numbers of steps, each a triple
            (FAST, CPU, GPU).

    Returns:
        A namespace with the chosen settings, and the bools `fast` and `gpu`.

    Raises:
        ValueError: If an argument does not have three values.
    """
    for name, values in {"minutes": minutes, **settings}.items():
        if len(values) != 3:
            raise ValueError(
                f"`{name}` must be a triple (FAST, CPU, GPU). Received: {name}={values}"
            )
    gpus = tf.config.list_physical_devices("GPU")
    fast = os.environ.get("SR_KERAS_FAST", "") not in ("", "0")
    column = 0 if fast else 2 if gpus else 1
    chosen = {name: values[column] for name, values in settings.items()}

    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
    print(f"Hardware: {_hardware(gpus)}.")
    if fast:
        print("FAST is on: the lesson is shortened, and the scores are lower.")
    else:
        kind = "a GPU (an estimate)" if gpus else "two CPU cores"
        print(f"This lesson takes about {minutes[column]:g} min on {kind}.")
    if chosen:
        print("Settings:", ", ".join(f"{k} = {v}" for k, v in chosen.items()))
        if not gpus and "COLAB_RELEASE_TAG" in os.environ:
            print("For a GPU, choose Runtime > Change runtime type and start again.")
    # Notebooks show warnings among the results. The second one is raised by the
    # default of `fit` whenever it is given a tf.data.Dataset.
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


def check(answer, expected, tolerance=None):
    """Prints whether an answer to an exercise is right, without giving the solution.

    Args:
        answer: A number or an array, or None while there is no answer.
        expected: The name of an exercise of the course, such as "08.1", whose
            solution comes with the package; in a lesson of your own, the solution.
        tolerance: Largest absolute difference that each value may have. The default
            is the one stored with the exercise, or 1e-4 if `expected` is a solution.

    Raises:
        ValueError: If `expected` is not the name of an exercise.
    """
    default = 1e-4
    if isinstance(expected, str):
        expected, default = _solution(expected)
    if answer is None or answer is ...:
        print("No answer yet.")
        return
    answer, expected = np.asarray(answer), np.asarray(expected)
    tolerance = default if tolerance is None else tolerance
    if answer.shape != expected.shape:
        print(f"Not yet: the shape must be {expected.shape}, but it is {answer.shape}.")
    elif not np.allclose(answer, expected, rtol=0, atol=tolerance):
        print("Not yet: the shape is right, but the values are not.")
    else:
        print("Right!")


def _solution(name):
    """Returns the solution of an exercise and its tolerance.

    `notebooks/answers.py` writes the file. The encoding keeps readers from seeing a
    solution by accident.
    """
    file = pathlib.Path(__file__).parent / "course_answers.json"
    encoded = json.loads(file.read_text())
    check_name("an exercise with a stored answer", name, encoded)
    return json.loads(base64.b64decode(encoded[name]))
