"""Runtimes that can run a trained network in place of Keras.

A network is exported once, see `sr_keras.export`. The file is kept in Keras's home,
under a name made from the network and its weights, so that the next start needs only to
read it.
"""

import importlib
import importlib.util
import os
import pathlib
import platform
import time

import keras
import numpy as np

from sr_keras import exporting, files, images, models, processor
from sr_keras.checks import check_name

# The package of each engine, and the format that it reads.
_RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "litert": ("ai_edge_litert.interpreter", "litert"),
}
ENGINES = ("keras", *_RUNTIMES)
_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}
# Engines that can compute in 8-bit integers.
_INT8 = ("onnxruntime", "openvino")
# Patches of this many pixels a side calibrate an int8 network.
_CALIBRATION_SIDE = 96
# Side of the image on which "auto" times the engines.
_TIMED_SIDE = 128


def available():
    """Returns the names of the engines whose packages are installed."""
    return [name for name in ENGINES if name == "keras" or not _missing(name)]


def digest(model):
    """Returns a name that changes with the graph, the weights or Keras's version.

    Args:
        model: A `keras.Model` that has a `to_json`, as functional ones have.
    """
    texts = [model.to_json().encode(), keras.__version__.encode()]  # Keras exports it
    weights = map(np.ascontiguousarray, model.get_weights())
    return f"{model.name}-{files.digest([*texts, *weights])[:24]}"


def fastest(model, cache=None):
    """Returns the engine that runs a network fastest on this machine.

    Every engine that is installed computes an image of 128x128 pixels a few times. The
    result is kept beside the exported files, so that the next call only reads it.

    Args:
        model: As for `Engine`.
        cache: As for `Engine`.

    Returns:
        The name of an engine, and a dict from the names of all to their seconds.
        Engines that cannot run the network are missing in it.
    """
    candidates = available()
    path = _folder(cache) / f"{digest(model)}.json"
    known = files.read_json(path) or {}
    machine = f"{platform.node()}, {os.cpu_count()} processors"
    if known.get("machine") != machine or set(candidates) - set(known["tried"]):
        lr = np.random.default_rng(0).random(
            (1, _TIMED_SIDE, _TIMED_SIDE, model.input_shape[-1]), "float32"
        )
        seconds = {}
        for name in candidates:
            try:
                engine = Engine(model, name, cache=cache)
                seconds[name] = _seconds(engine, lr)
            except (ImportError, RuntimeError, ValueError):
                continue  # such a network does not run there
        known = {"machine": machine, "tried": candidates, "seconds": seconds}
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, known)
    # An engine may have been uninstalled since.
    seconds = {k: v for k, v in known["seconds"].items() if k in candidates}
    return min(seconds, key=seconds.get), seconds


def _seconds(engine, lr):
    times = []
    for _ in range(4):
        start = time.perf_counter()
        engine(lr)
        times.append(time.perf_counter() - start)
    return min(times[1:])  # the first one compiles


class Engine:
    """A network that a runtime runs. `sr_keras.upscale` takes it in place of a model.

        engine = sr.engines.Engine(sr.models.load("edsr-x4-bsds"), "openvino")
        sr.upscale(engine, photo)

    Outputs equal those of the model in float32 up to rounding. With `calibration`, the
    convolutions compute in 8-bit integers, which costs some quality.

    Args:
        model: A `keras.Model` with one input and one output that `sr_keras.export` can
            write, or what `models.load` takes.
        name: One of `ENGINES`, or "auto" for the fastest on this machine, see
            `fastest`. With `calibration`, "auto" takes the faster of "onnxruntime" and
            "openvino".
        calibration: None, or photos, arrays `(height, width, channels)` in uint8 or
            floats in [0, 1], of at least 96 x 96 pixels: LR images like those that the
            network will get, from which the ranges of the integers are taken. A few
            are enough. Only for "onnxruntime" and "openvino".
        cache: Folder of the exported files; None for `sr_keras/engines` in Keras's
            home, which the environment variable `KERAS_HOME` names.

    Raises:
        ValueError: If there is no such engine, the model cannot be exported, or
            `calibration` does not fit.
        ImportError: If a package is missing.
        RuntimeError: If the runtime cannot run the model.
    """

    def __init__(self, model, name="auto", calibration=None, cache=None):
        check_name("an engine", name, ["auto", *ENGINES])
        if isinstance(model, (str, os.PathLike)):
            model = models.load(model)
        if calibration is not None:
            if name not in ("auto", *_INT8):
                raise ValueError(
                    "`calibration` needs the engine onnxruntime or openvino."
                    f" Received: name={name!r}"
                )
            calibration = _patches(calibration, model.input_shape[-1])
        if name == "auto":
            _, seconds = fastest(model, cache)
            fitting = seconds if calibration is None else {*seconds} & {*_INT8}
            # If none fits, the error of the first one says why.
            name = min(fitting, key=seconds.get, default=_INT8[0])
        if name != "keras" and _missing(name):
            raise ImportError(
                f"The engine {name} needs {', '.join(_missing(name))}:"
                " pip install sr_keras[engines]"
            )
        self.engine = name
        self.name = f"{model.name} on {self.engine}"
        self.input_shape = model.input_shape
        self.network = model  # whose receptive field `upscale` needs
        # Other engines keep several maps at once: with 64 of them at the size of the
        # result at x4, a window of 336x336 takes 3 GiB on LiteRT.
        self.largest_window = None if name == "keras" else 336
        if self.engine == "keras":
            self.path = None
            self._run = model.predict_on_batch
        else:
            self.path = _exported(model, self.engine, calibration, cache)
            if self.engine == "openvino":  # which reads ONNX files, too
                self._run = _open_openvino(self.path)
            else:
                _, format = _RUNTIMES[self.engine]
                self._run = exporting.open_runtime(self.path, format)

    @property
    def scale(self):
        """Upscaling factor of the network, see `models.scale_of`."""
        return models.scale_of(self.network)

    def __call__(self, images):
        """Runs the network.

        Args:
            images: float32 `(batch, height, width, channels)` in [0, 1].

        Returns:
            A float32 array `(batch, scale * height, scale * width, channels)`.
        """
        return self._run(np.ascontiguousarray(images, "float32"))


def _missing(name):
    """Returns the packages of an engine and of its converter that are not installed."""
    package, format = _RUNTIMES[name]
    needed = [package.partition(".")[0], *(["tf2onnx"] if format == "onnx" else [])]
    return [x for x in needed if importlib.util.find_spec(x) is None]


def _folder(cache):
    if cache is not None:
        return pathlib.Path(cache)
    return files.keras_home() / "sr_keras" / "engines"


def _exported(model, engine, calibration, cache):
    """Returns the file of a network, which is written if there is none yet."""
    _, format = _RUNTIMES[engine]
    path = _folder(cache) / f"{digest(model)}{_SUFFIXES[format]}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        exporting.export(model, path, format)
    if calibration is None:
        return path
    photos = files.digest(calibration)[:16]
    # OpenVINO adds in 32 bits everywhere.
    bits = 7 if engine == "onnxruntime" and processor.saturates_int8() else 8
    small = path.with_name(f"{path.stem}-int{bits}-{photos}{path.suffix}")
    if not small.is_file():
        _quantize(path, small, calibration, bits)
    return small


def _patches(photos, channels):
    """Returns the middle of each photo as a float32 batch."""
    side, found = _CALIBRATION_SIDE, []
    for photo in photos:
        photo = np.asarray(images.to_float(np.asarray(photo)))
        fits = photo.ndim == 3 and photo.shape[2] == channels
        if not fits or min(photo.shape[:2]) < side:
            raise ValueError(
                f"Photos for `calibration` must be ({side} or more, {side} or more,"
                f" {channels}). Received: {photo.shape}"
            )
        y, x = ((n - side) // 2 for n in photo.shape[:2])
        patch = photo[None, y : y + side, x : x + side]
        # A photo that was rotated may have its pixels in another order.
        found.append(np.ascontiguousarray(patch, "float32"))
    if not found:
        raise ValueError("`calibration` must have at least one photo.")
    return found


def _quantize(source, target, batches, bits):
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization import shape_inference
    except ImportError as error:
        raise ImportError(
            "An int8 network needs the package onnxruntime:"
            " pip install sr_keras[engines]"
        ) from error

    class Reader(quantization.CalibrationDataReader):
        def __init__(self, name):
            self.batches = iter([{name: batch} for batch in batches])

        def get_next(self):
            return next(self.batches, None)

    import onnx

    name = onnx.load(source).graph.input[0].name
    with files.replacing(target) as complete:
        prepared = complete.with_name(f"prepared-{complete.name.lstrip('.')}")
        try:
            shape_inference.quant_pre_process(
                source, prepared, skip_symbolic_shape=True
            )
            quantization.quantize_static(
                prepared,
                complete,
                Reader(name),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MatMul"],
                per_channel=True,
                reduce_range=bits == 7,  # of the weights
            )
        finally:
            prepared.unlink(missing_ok=True)


def _open_openvino(path):
    openvino = importlib.import_module("openvino")
    # By default OpenVINO computes in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(path, "CPU", options)
    return lambda images: model(images)[0].copy()
