"""Networks for other runtimes: ONNX, TensorFlow's SavedModel, and LiteRT."""

import importlib
import os
import pathlib
import re
import tempfile
import warnings

import keras
import numpy as np

from sr_keras import files, models
from sr_keras.checks import check_option
from sr_keras.precision import on_cpu, with_precision

# Names that Keras has for the formats, and the suffixes its converters insist on.
_FORMATS = {
    "onnx": ("onnx", ".onnx"),
    "saved_model": ("tf_saved_model", ""),
    "litert": ("litert", ".tflite"),
}
# How a LiteRT file names operations that only TensorFlow itself can run.
_FLEX = re.compile(rb"Flex([A-Z]\w{2,})")
# tf2onnx 1.17 visits a graph in an order that changes from call to call, and now and
# then, for VDSR in one of ten, adds a dimension of 1 to the output.
_ATTEMPTS = 3


def export(model, path, format="onnx"):
    """Writes a network so that it runs without Keras, on images of any size.

    The file takes float32 `(batch, height, width, channels)` in [0, 1], computes in
    float32, and returns what the model returns. Before it gets its name, it is run in
    its runtime and compared with the model, see `check`. So a file that cannot be run
    is never left behind.

    All networks of this package can be exported. In a network of your own, some
    layers cannot:

    - ONNX has no exact GELU, `activation="gelu"`. Use
      `keras.activations.gelu(x, approximate=True)`.
    - ONNX has no grouped convolutions, `Conv2D(groups=4)`. Use convolutions of slices
      of the channels, and `Concatenate`.
    - LiteRT has no `keras.ops.roll`. Use `keras.ops.concatenate` of two slices.
    - LiteRT has no convolution of a map whose size it cannot infer, as after
      `UpSampling2D`. Use `sr_keras.layers.PixelShuffle` or `NearestUpsampling`.
    - `UpSampling2D` with another interpolation than "nearest" needs a fixed size in
      every format. Use `sr_keras.layers.BilinearUpsampling` or `BicubicUpsampling`.

    A SavedModel has none of these limits but the last.

    Args:
        model: A functional or sequential `keras.Model` with one input and one output,
            or a model with such an attribute `upscaler` or `generator`, as the VAEs
            and GANs that this package trains; or what `models.load` takes.
        path: Where to write: a file, or for "saved_model" a new folder.
        format: "onnx", "saved_model" or "litert" (formerly TensorFlow Lite).

    Returns:
        The largest difference between the outputs of the file and the model, or None
        if the runtime is not installed.

    Raises:
        ValueError: If there is no such format, the model has several inputs or
            outputs, or the outputs of the file differ from the model's or are not
            finite.
        FileExistsError: If `path` is an existing folder, or for "saved_model" anything
            that exists.
        ImportError: If a package that the format needs is not installed.
        RuntimeError: If the runtime cannot run the file.

    Warns:
        UserWarning: If the runtime is not installed, so that the file was not run.
    """
    check_option("format", format, _FORMATS)
    if isinstance(model, (str, os.PathLike)):
        model = models.load(model)
    model = _upscaler_of(model)
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise ValueError(
            "`model` must be a functional or built sequential `keras.Model`. Received:"
            f" {model}"
        )
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "The network must have one input and one output. Received:"
            f" {len(inputs)} and {len(outputs)}"
        )
    keras_name, suffix = _FORMATS[format]
    path = pathlib.Path(path)
    if path.is_dir():
        raise FileExistsError(f"{path} is an existing folder. Choose another path.")
    if format == "saved_model" and path.exists():
        raise FileExistsError(
            f"{path} exists; a SavedModel needs the path of a new folder."
        )
    if format == "onnx":
        _import("tf2onnx")
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        model = with_precision(model, "float32")
    # Keras exports to ONNX only what was called once.
    model(keras.ops.zeros((1, 8, 8, model.input_shape[-1])))
    with (
        files.replacing(path) as complete,
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder,
    ):
        temporary = pathlib.Path(folder) / f"model{suffix}"
        for attempt in range(1, _ATTEMPTS + 1):
            model.export(temporary, format=keras_name, verbose=False)
            try:
                difference = _check_or_warn(model, temporary, format)
                break
            except (ValueError, RuntimeError):
                if format != "onnx" or attempt == _ATTEMPTS:
                    raise
        os.replace(temporary, complete)
    return difference


def check(model, path, format="onnx", tolerance=1e-4):
    """Runs what `export` wrote in its own runtime, and compares it with the model.

    Args:
        model: The model that was exported.
        path: Where it was written.
        format: "onnx", "saved_model" or "litert".
        tolerance: Largest difference that is accepted, in units of the image's
            range of [0, 1], or of the largest output where that is more than 1.

    Returns:
        The largest difference for noise of two sizes, odd and not square.

    Raises:
        ValueError: If the difference is larger than `tolerance`, the outputs have
            different shapes, an output is NaN or infinite, or there is no such format.
        RuntimeError: If the runtime cannot run the file. The message says why.
        ImportError: If the runtime is not installed.
    """
    check_option("format", format, _FORMATS)
    model = _upscaler_of(model)
    path = pathlib.Path(path)
    if format == "litert":
        _refuse_flex(path)
    rng = np.random.default_rng(0)
    run, difference, largest = None, 0.0, 1.0
    for height, width in ((31, 45), (52, 37)):
        lr = rng.random((1, height, width, model.input_shape[-1]), "float32")
        with on_cpu():
            expected = keras.ops.convert_to_numpy(model(lr, training=False))
        try:
            run = run or open_runtime(path, format)
            sr = run(lr)
        except ImportError:
            raise
        except Exception as error:  # each runtime has its own
            raise RuntimeError(f"{path} does not run as {format}: {error}") from error
        if sr.shape != expected.shape:
            raise ValueError(
                f"{path} and '{model.name}' must return outputs of the same shape."
                f" Received: shapes {sr.shape} and {expected.shape}"
            )
        # A NaN would be lost in the maximum below.
        if not (np.isfinite(sr).all() and np.isfinite(expected).all()):
            raise ValueError(
                f"{path} or '{model.name}' returns NaN or infinite values."
            )
        difference = max(difference, float(np.abs(sr - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    if not difference <= tolerance * largest:
        raise ValueError(
            f"{path} differs from '{model.name}' by up to {difference:.2g}; at most"
            f" {tolerance * largest:.2g} was expected."
        )
    return difference


def open_runtime(path, format="onnx"):
    """Opens what `export` wrote in its own runtime, on the CPU.

    Args:
        path: Where it was written.
        format: "onnx", "saved_model" or "litert".

    Returns:
        A function from float32 images `(batch, height, width, channels)` in [0, 1] to
        a float32 array of the network's outputs.

    Raises:
        ValueError: If there is no such format.
        ImportError: If the runtime is not installed.
        Exception: If the runtime cannot load the file; each has an exception of its
            own.
    """
    check_option("format", format, _FORMATS)
    return _OPENERS[format](str(path))


def _upscaler_of(model):
    """Returns the network that upscales, which a VAE or a GAN has as an attribute."""
    for name in ("upscaler", "generator"):
        inner = getattr(model, name, None)
        if isinstance(inner, keras.Model):
            return inner
    return model


def _check_or_warn(model, path, format):
    try:
        return check(model, path, format)
    except ImportError as error:
        warnings.warn(
            f"The exported file was not run, so it may not work. {error}", stacklevel=3
        )
        return None
    except (RuntimeError, ValueError) as error:
        raise type(error)(
            f"'{model.name}' cannot be exported to {format}; see the docstring of"
            f" `sr_keras.export`. {str(error).replace(str(path), 'The file')}"
        ) from error


def _refuse_flex(path):
    operations = sorted({name.decode() for name in _FLEX.findall(path.read_bytes())})
    if operations:
        raise RuntimeError(
            f"{path} has operations that only TensorFlow can run, and LiteRT cannot:"
            f" {', '.join(operations)}"
        )


def _import(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"The package {name.partition('.')[0]} is needed:"
            " pip install sr_keras[export]"
        ) from error


def _open_onnx(path):
    runtime = _import("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _open_saved_model(path):
    network = _import("tensorflow").saved_model.load(path)
    return lambda images: network.serve(images).numpy()


def _open_litert(path):
    try:
        runtime = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        runtime = _import("tensorflow").lite  # deprecated, but often there
    threads = os.cpu_count() or 1
    interpreter = runtime.Interpreter(model_path=path, num_threads=threads)
    index = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    shape = None

    def run(images):
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(index, images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(index, images)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return run


_OPENERS = {
    "onnx": _open_onnx,
    "saved_model": _open_saved_model,
    "litert": _open_litert,
}
