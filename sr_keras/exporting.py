"""Networks for other runtimes: ONNX, TensorFlow's SavedModel, and LiteRT."""

import importlib
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np

from sr_keras.inference import with_precision

# Names that Keras has for the formats, and the endings its converters insist on.
_FORMATS = {
    "onnx": ("onnx", ".onnx"),
    "saved_model": ("tf_saved_model", ""),
    "litert": ("litert", ".tflite"),
}


def export(model, path, format="onnx"):
    """Writes a network so that it runs without Keras, on images of any size.

    It appears under its name only when it is complete. What was written takes
    float32 `(batch, height, width, channels)` in [0, 1], computes in float32, and
    returns what the model returns.

    Args:
        model: A functional `keras.Model`.
        path: Where to write: a file, or for "saved_model" a new folder.
        format: "onnx", "saved_model" or "litert" (formerly TensorFlow Lite).

    Raises:
        ValueError: If there is no such format.
        FileExistsError: If `path` is a folder that exists.
        ImportError: If a package is missing that the format needs.
    """
    _check_format(format)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "The network must have one input and one output. Received:"
            f" {len(model.inputs)} and {len(model.outputs)}"
        )
    keras_name, suffix = _FORMATS[format]
    path = pathlib.Path(path)
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder that exists. Choose another path.")
    if format == "onnx":
        _import("tf2onnx")
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        model = with_precision(model, "float32")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = pathlib.Path(folder) / f"model{suffix}"
    try:
        # Keras exports to ONNX only what was called once
        model(keras.ops.zeros((1, 8, 8, model.input_shape[-1])))
        model.export(temporary, format=keras_name, verbose=False)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder)


def check(model, path, format="onnx", tolerance=1e-4):
    """Runs what `export` wrote in its own runtime, and compares with the model.

    Args:
        model: The `keras.Model` that was exported.
        path: Where it was written.
        format: "onnx", "saved_model" or "litert".
        tolerance: The largest difference that is accepted; pixels are in [0, 1].

    Returns:
        The largest difference on noise of two sizes, odd and not square.

    Raises:
        ValueError: If it is larger than `tolerance`, or there is no such format.
        RuntimeError: If the runtime cannot run it; the message says why.
        ImportError: If the runtime is not installed.
    """
    _check_format(format)
    run = {"onnx": _run_onnx, "saved_model": _run_saved_model, "litert": _run_litert}
    rng = np.random.default_rng(0)
    difference = 0.0
    for height, width in ((31, 45), (52, 37)):
        lr = rng.random((1, height, width, model.input_shape[-1]), "float32")
        with keras.device("cpu"):  # a GPU may round the factors to 11 bits
            expected = keras.ops.convert_to_numpy(model(lr, training=False))
        try:
            sr = run[format](str(path), lr)
        except ImportError:
            raise
        except Exception as error:  # each runtime has its own
            raise RuntimeError(f"{path} does not run as {format}: {error}") from error
        difference = max(difference, float(np.abs(sr - expected).max()))
    if not difference <= tolerance:
        raise ValueError(
            f"{path} differs from '{model.name}' by up to {difference:.2g}; at most"
            f" {tolerance:.2g} was expected."
        )
    return difference


def _check_format(format):
    if format not in _FORMATS:
        raise ValueError(
            f"`format` must be one of {', '.join(_FORMATS)}. Received: {format}"
        )


def _import(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"The package {name.partition('.')[0]} is needed:"
            " pip install sr_keras[export]"
        ) from error


def _run_onnx(path, lr):
    runtime = _import("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: lr})[0]


def _run_saved_model(path, lr):
    network = _import("tensorflow").saved_model.load(path)
    return network.serve(lr).numpy()


def _run_litert(path, lr):
    try:
        runtime = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        runtime = _import("tensorflow").lite  # deprecated, but often there
    interpreter = runtime.Interpreter(model_path=path)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, lr.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, lr)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
