"""Networks for other runtimes: ONNX, TensorFlow's SavedModel, and LiteRT."""

import importlib
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np

_KERAS_NAMES = {"onnx": "onnx", "saved_model": "tf_saved_model", "litert": "litert"}


def export(model, path, format="onnx"):
    """Writes a network so that it runs without Keras, on images of any size.

    The file appears under its name only when it is complete.

    Args:
        model: A functional `keras.Model`.
        path: Where to write: a file, or for "saved_model" a folder, which must
            not exist.
        format: "onnx", "saved_model" or "litert" (TensorFlow Lite).

    Raises:
        ValueError: If there is no such format.
        FileExistsError: If `path` is a folder.
        ImportError: If a package is missing that the format needs.
    """
    _check_format(format)
    path = pathlib.Path(path)
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder that exists. Choose another path.")
    if format == "onnx":
        _import("tf2onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    # the converters insist on some endings
    temporary = folder / ("model.tflite" if format == "litert" else "model.onnx")
    try:
        # Keras exports to ONNX only what was called once
        model(keras.ops.zeros((1, 8, 8, model.input_shape[-1])))
        model.export(temporary, format=_KERAS_NAMES[format], verbose=False)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder)
