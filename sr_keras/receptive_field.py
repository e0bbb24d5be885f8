"""How far around a pixel a network looks: what upscaling in tiles has to know."""

import collections
import functools
import itertools
import math
import sys
import time
import weakref
from fractions import Fraction

import keras
import numpy as np
from keras import layers

from sr_keras.layers import (
    BicubicUpsampling,
    BilinearUpsampling,
    CropLike,
    NearestUpsampling,
    PadToMultiple,
    PixelShuffle,
    PixelUnshuffle,
)
from sr_keras.models.fsrcnn import Conv2DTranspose
from sr_keras.models.network import Output
from sr_keras.models.on_luma import RGBToYCbCr, YCbCrToRGB
from sr_keras.models.rlfn import ResizeLike
from sr_keras.models.span import FoldableConv2D
from sr_keras.models.swinir import GELU, ShiftedWindowAttention
from sr_keras.models.vae import NoLatents
from sr_keras.models.wdsr import WeightNormalizedConv2D
from sr_keras.precision import graph_of, on_cpu


class ReceptiveField(collections.namedtuple("ReceptiveField", ["halo", "step"])):
    """What a tile needs so that its result equals that of the whole image.

    Attributes:
        halo: How many pixels of the input beyond a tile can change the tile's
            output. None if there is no bound, as with global pooling.
        step: A tile's window must begin at a multiple of `step`, counted from the
            beginning of the image, and end at one, counted from the end. It is more
            than 1 if the network reduces its feature maps inside.
    """


def _remembered(function):
    """Keeps the result of a function of a model for as long as the model exists."""
    results = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def remembering(model, *args):
        try:
            if model in results:
                return results[model]
        except TypeError:  # some callables have no weak references
            return function(model, *args)
        results[model] = function(model, *args)
        return results[model]

    return remembering


def receptive_field(model, channels=None):
    """Returns how far around a pixel a network looks.

    For a functional or sequential model of known layers, the field is computed from
    the graph in a fraction of a second. Any other model, or callable, is run on small
    images in which one pixel is changed; this takes seconds and stops at a distance
    of 192 pixels. The result is kept for as long as the model exists.

    Args:
        model: A `keras.Model` or a callable that maps `(1, height, width, channels)`
            to an integer multiple of its height and width.
        channels: As for `measure`.

    Returns:
        A `ReceptiveField`: `halo` and `step`, in pixels of the input.
    """
    return from_graph(model) or measure(model, channels)


@_remembered
def from_graph(model):
    """Computes the receptive field from the layers of a model.

    Args:
        model: A `keras.Model` or any callable. An `engines.Engine` has the field of
            its `network`.

    Returns:
        A `ReceptiveField`, or None if `model` is not a graph of known layers. A
        subclass of a known layer is not known: it may compute anything.
    """
    if not isinstance(model, keras.Model):
        model = getattr(model, "network", model)
    pixel = _Span(Fraction(1), 0, 0, step=1, multiple=1)
    try:
        spans, *_ = _spans_of_outputs(model, [(pixel, pixel)])
    except _UnknownError:
        return None
    step = math.lcm(*[span.step for span in spans])
    if any(math.isinf(span.high) for span in spans):
        return ReceptiveField(None, step)
    # From the first subpixel of an input pixel to the left, from the last to the right.
    before = max(math.floor(-span.low) for span in spans)
    after = max(math.floor(span.high + 1 - span.ratio) for span in spans)
    return ReceptiveField(max(before, after, 0), step)


# Along one axis, pixel i of a feature map depends on the pixels of the input from
# `ratio * i + low` to `ratio * i + high`. `ratio` is None after global pooling. The
# size of the map is known to be a multiple of `multiple`.
_Span = collections.namedtuple("_Span", ["ratio", "low", "high", "step", "multiple"])


class _UnknownError(Exception):
    """A layer is not known."""


def _convolution(span, kernel, stride=1, dilation=1, padding="same"):
    if span.ratio is None:
        return span
    reach = dilation * (kernel - 1)
    divides = span.multiple % stride == 0
    multiple = span.multiple // stride if divides else 1
    first = last = 0  # how many pixels are padded at the start
    if padding == "same":
        first = max(reach + 1 - stride, 0) // 2
        last = first if divides else reach // 2  # it depends on the size of the map
    elif padding != "valid":
        raise _UnknownError
    elif kernel != stride:
        multiple = 1
    ratio = span.ratio * stride
    return _Span(
        ratio,
        span.low - span.ratio * last,
        span.high + span.ratio * (reach - first),
        math.lcm(span.step, ratio.numerator),
        multiple,
    )


def _transposed_convolution(span, kernel, stride, dilation, padding):
    if span.ratio is None:
        return span
    reach = dilation * (kernel - 1)
    cut = max(reach + 1 - stride, 0) if padding == "same" else 0
    ratio = span.ratio / stride
    return _Span(
        ratio,
        span.low + ratio * (cut // 2 - reach),
        span.high + ratio * (cut - cut // 2),
        span.step,
        span.multiple * stride if padding == "same" or kernel == stride else 1,
    )


def _repetition(span, factor):
    if span.ratio is None:
        return span
    ratio = span.ratio / factor
    low, multiple = span.low - span.ratio + ratio, span.multiple * factor
    return span._replace(ratio=ratio, low=low, multiple=multiple)


def _interpolation(span, factor, radius):
    if span.ratio is None or factor == 1:
        return span
    ratio = span.ratio / factor
    center = (ratio - span.ratio) / 2
    reach = span.ratio * radius
    low, high = span.low + center - reach, span.high + center + reach
    return _Span(ratio, low, high, span.step, span.multiple * factor)


def _shift(span, pixels):
    if span.ratio is None:
        return span
    shift = span.ratio * pixels
    return span._replace(low=span.low + shift, high=span.high + shift, multiple=1)


def _convolution_layer(layer, axis, span):
    return _convolution(
        span,
        layer.kernel_size[axis],
        layer.strides[axis],
        layer.dilation_rate[axis],
        layer.padding,
    )


def _transposed_layer(layer, axis, span):
    if getattr(layer, "output_padding", None) is not None:
        raise _UnknownError
    return _transposed_convolution(
        span,
        layer.kernel_size[axis],
        layer.strides[axis],
        layer.dilation_rate[axis],
        layer.padding,
    )


def _pooling_layer(layer, axis, span):
    size, stride = layer.pool_size[axis], layer.strides[axis]
    return _convolution(span, size, stride, padding=layer.padding)


def _upsampling_layer(layer, axis, span):
    factor = layer.size[axis]
    if layer.interpolation == "nearest":
        return _repetition(span, factor)
    radii = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}
    return _interpolation(span, factor, radii[layer.interpolation])


def _multiple_layer(layer, axis, span):
    if span.ratio is None:
        return span
    step = math.lcm(span.step, (span.ratio * layer.multiple).numerator)
    return span._replace(step=step, multiple=layer.multiple)


def _everything(layer, axis, span):
    return _Span(None, -math.inf, math.inf, span.step, multiple=1)


def _same_pixel(layer, axis, span):
    return span


def _over_channels(layer, axis, span):
    """Normalization: over the channels of a pixel alone, or over other axes too."""
    axes = np.ravel(layer.axis).tolist()
    return span if axes in ([-1], [3]) else _everything(layer, axis, span)


def _concatenation(layer, axis, span):
    if layer.axis not in (-1, 3):
        raise _UnknownError
    return span


_LAYERS = {
    layers.Conv2D: _convolution_layer,
    WeightNormalizedConv2D: _convolution_layer,
    FoldableConv2D: lambda layer, axis, span: _convolution(span, 3),
    layers.DepthwiseConv2D: _convolution_layer,
    layers.SeparableConv2D: _convolution_layer,
    layers.Conv2DTranspose: _transposed_layer,
    Conv2DTranspose: _transposed_layer,
    layers.MaxPooling2D: _pooling_layer,
    layers.AveragePooling2D: _pooling_layer,
    layers.UpSampling2D: _upsampling_layer,
    PixelShuffle: lambda layer, axis, span: _repetition(span, layer.scale),
    PixelUnshuffle: lambda layer, axis, span: _convolution(
        span, layer.scale, layer.scale, padding="valid"
    ),
    NearestUpsampling: lambda layer, axis, span: _repetition(span, layer.scale),
    BilinearUpsampling: lambda layer, axis, span: _interpolation(span, layer.scale, 1),
    BicubicUpsampling: lambda layer, axis, span: _interpolation(span, layer.scale, 2),
    PadToMultiple: _multiple_layer,
    layers.ZeroPadding2D: lambda layer, axis, s: _shift(s, -layer.padding[axis][0]),
    layers.Cropping2D: lambda layer, axis, span: _shift(span, layer.cropping[axis][0]),
    layers.GlobalAveragePooling2D: _everything,
    layers.GlobalMaxPooling2D: _everything,
    ShiftedWindowAttention: _everything,
    layers.GroupNormalization: _everything,
    layers.LayerNormalization: _over_channels,
    layers.UnitNormalization: _over_channels,
    layers.Softmax: _over_channels,
    layers.Concatenate: _concatenation,
    **dict.fromkeys(
        [
            layers.Activation,
            layers.ActivityRegularization,
            layers.Add,
            layers.AlphaDropout,
            layers.Average,
            layers.BatchNormalization,
            layers.Dense,
            layers.Dropout,
            layers.ELU,
            layers.GaussianDropout,
            layers.GaussianNoise,
            layers.Identity,
            layers.LeakyReLU,
            layers.Maximum,
            layers.Minimum,
            layers.Multiply,
            layers.PReLU,
            layers.ReLU,
            layers.Rescaling,
            layers.SpatialDropout2D,
            layers.Subtract,
            GELU,
            NoLatents,
            Output,
            RGBToYCbCr,
            YCbCrToRGB,
        ],
        _same_pixel,
    ),
}
# Functions of `keras.ops` in a graph, such as the `+` of two tensors.
_OPERATIONS = {
    "Concatenate": _concatenation,
    "DepthToSpace": lambda op, axis, span: _repetition(span, op.block_size),
    **dict.fromkeys(
        "Absolute Add Clip Divide Elu Exp Gelu HardSigmoid HardTanh LeakyRelu Maximum"
        " Minimum Multiply Negative Relu Relu6 Sigmoid Sign Silu Softplus Sqrt Square"
        " Subtract Tanh TrueDivide".split(),
        _same_pixel,
    ),
}


def _spans_of_outputs(model, spans):
    """Follows the spans of a model's inputs, along both axes, to its outputs."""
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        raise _UnknownError
    try:
        graph = keras.Model(model.inputs, model.outputs)
        config = graph.get_config()
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _UnknownError from error  # a layer without a configuration
    operations = {operation.name: operation for operation in graph.operations}
    known = {
        (name, node): [pair]
        for (name, node, _), pair in zip(config["input_layers"], spans, strict=True)
    }
    waiting = [
        (operations[layer["name"]], i, _histories([node["args"], node["kwargs"]]))
        for layer in config["layers"]
        for i, node in enumerate(layer["inbound_nodes"])
    ]
    while waiting:
        later = []
        for operation, i, sources in waiting:
            if all((name, node) in known for name, node, _ in sources):
                inputs = [_pick(known, source) for source in sources]
                known[operation.name, i] = _outputs_of(operation, inputs)
            else:
                later.append((operation, i, sources))
        waiting = later
    return [_pick(known, source) for source in config["output_layers"]]


def _pick(known, source):
    """All outputs of a layer have the same span; those of a model have their own."""
    name, node, tensor = source
    spans = known[name, node]
    return spans[tensor] if len(spans) > 1 else spans[0]


def _histories(arguments):
    """Returns `(layer's name, node, tensor)` of all tensors in serialized arguments."""
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            return [arguments["config"]["keras_history"]]
        arguments = list(arguments.values())
    if isinstance(arguments, (list, tuple)):
        return [history for item in arguments for history in _histories(item)]
    return []


def _outputs_of(operation, spans):
    if isinstance(operation, keras.Model):
        return _spans_of_outputs(operation, spans)
    if type(operation) is layers.SpectralNormalization:
        operation = operation.layer
    if type(operation) is CropLike:
        pairs = zip(*spans, strict=True)
        return [tuple(x._replace(multiple=like.multiple) for x, like in pairs)]
    if type(operation) is ResizeLike:  # where it samples depends on the whole size
        return [tuple(_everything(operation, i, x) for i, x in enumerate(spans[0]))]
    if isinstance(operation, keras.Layer):
        rule = _LAYERS.get(type(operation))
    else:
        rule = _OPERATIONS.get(type(operation).__name__)
    is_known = rule is not None and spans and _is_pointwise(operation)
    if not is_known or getattr(operation, "data_format", None) == "channels_first":
        raise _UnknownError
    along_axes = zip(*spans, strict=True)
    return [
        tuple(_round(rule(operation, i, _union(s))) for i, s in enumerate(along_axes))
    ]


def _round(span):
    """Narrows a span to positions that exist: `ratio * i` and pixels are multiples."""
    if math.isinf(span.high):
        return span
    unit = span.ratio.denominator
    low, high = math.ceil(span.low * unit), math.floor(span.high * unit)
    return span._replace(low=Fraction(low, unit), high=Fraction(high, unit))


def _is_pointwise(layer):
    """Returns True if a layer's activation, if it has one, looks at single pixels."""
    activation = getattr(layer, "activation", None)
    if activation is None or isinstance(activation, keras.Layer):
        return activation is None or _LAYERS.get(type(activation)) is _same_pixel
    return any(activation is known for known in vars(keras.activations).values())


def _union(spans):
    ratios = {span.ratio for span in spans} - {None}
    if len(ratios) > 1:
        raise _UnknownError
    return _Span(
        ratios.pop() if ratios else None,
        min(span.low for span in spans),
        max(span.high for span in spans),
        math.lcm(*[span.step for span in spans]),
        math.lcm(*[span.multiple for span in spans if span.ratio is not None]),
    )


# Lengths of the strips on which a receptive field is measured.
_LENGTHS = (96, 192, 384)
# Numbers of pixels that may be cut off an image, the most likely first.
_STEPS = (1, 2, 4, 8, 16, 32, 64, 3, 6, 12, 24, 48)
# Where no step was found, windows begin at multiples of this.
_COARSE_STEP = 32
# Seconds of one run from which on a measurement is announced.
_SLOW = 0.2


@_remembered
def measure(model, channels=None):
    """Measures the receptive field of a model or callable by running it.

    Args:
        model: A `keras.Model` or any callable.
        channels: Number of channels of its input. None reads it from the model's
            `input_shape`, or means 3 without one.

    Returns:
        A `ReceptiveField`. `halo` is None if the output changes further than 192
        pixels from the input pixel that was changed.
    """
    if channels is None:
        channels = (getattr(model, "input_shape", None) or (3,))[-1]
    halo, step = 0, 1
    with on_cpu():  # convolutions on a GPU may spread NaN further
        function, bad_pixel = _probe(model)
        function = _announcing(function, getattr(model, "name", repr(model)))
        for axis in (1, 2):
            strip = functools.partial(_strip, channels, axis)
            radii = (_radius(function, strip(n), axis, bad_pixel) for n in _LENGTHS)
            radius = next((r for r in radii if r is not None), None)
            if radius is None:
                return ReceptiveField(None, _COARSE_STEP)
            candidates = [step, *(n for n in _STEPS if n != step)]
            fitting = _first_fitting(function, strip, axis, radius, candidates)
            if fitting is None:
                return ReceptiveField(None, _COARSE_STEP)
            # Strides round positions: by less than a step where the radius was
            # measured, and again where the image is not a multiple of the step.
            halo = max(halo, radius + 2 * (fitting - 1))
            step = math.lcm(step, fitting)
    return ReceptiveField(halo, step)


def _announcing(function, name):
    """Prints a line if the second run, the first without setup, is slow."""
    runs = itertools.count()

    def run(x):
        start = time.perf_counter()
        y = keras.ops.convert_to_numpy(function(x))
        if next(runs) == 1 and time.perf_counter() - start > _SLOW:
            print(
                f"Measuring how far around a pixel '{name}' looks. This is done once"
                " and may take a minute; pass `halo` to skip it.",
                file=sys.stderr,
            )
        return y

    return run


def _probe(model):
    """Returns the function to measure, and the value of the pixel that is changed.

    NaN reaches every value that depends on it, whatever the weights are, with two
    exceptions: compiled graphs merge convolution and ReLU into one operation that
    turns NaN into 0, so the model is called without compiling it; and maximum pooling
    skips NaN, so a copy has average pooling in its place. All weights of the copy
    differ from 0, as those of a trained network.
    """
    if not isinstance(model, keras.Model):
        return model, 1e30

    def copy(layer):
        if not isinstance(layer, keras.Layer):
            return layer  # a function of `keras.ops`
        is_pool = isinstance(layer, layers.MaxPooling2D)
        layer_class = layers.AveragePooling2D if is_pool else type(layer)
        return layer_class.from_config({**layer.get_config(), "dtype": "float32"})

    try:
        copied = keras.models.clone_model(
            graph_of(model),
            clone_function=copy,
            recursive=True,
        )
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        copied = model  # a subclass of `keras.Model` that is not a graph
    else:
        rng = np.random.default_rng(0)
        weights = [w + rng.uniform(-0.01, 0.01, w.shape) for w in copied.get_weights()]
        copied.set_weights(weights)
    return lambda x: copied(x, training=False), np.nan


def _strip(channels, axis, length):
    """Makes noise of 32 pixels by `length`, which costs far less than a square."""
    shape = [1, 32, 32, channels]
    shape[axis] = length
    return np.random.default_rng(0).random(shape, "float32")


def _radius(function, strip, axis, bad_pixel):
    """Returns how far from a bad pixel outputs change, or None if all of them may."""
    length = strip.shape[axis]
    before = function(strip)
    index = [0, 16, 16]
    index[axis] = length // 2
    strip[tuple(index)] = bad_pixel
    changed = np.any(function(strip) != before, axis=(0, 3 - axis, 3))
    reached = np.flatnonzero(changed) // (len(changed) // length)
    if changed[0] or changed[-1]:
        return None
    return int(np.abs(reached - length // 2).max(initial=0))


def _first_fitting(function, strip, axis, radius, candidates):
    """Returns the first step by which an image may be cut without a change elsewhere.

    Cutting pixels off one end may change the outputs near that end, and no others.
    """
    margin = radius + max(candidates)
    length = -(-(2 * margin + 32) // 192) * 192  # a multiple that most networks need
    noise = np.moveaxis(strip(length), axis, 1)

    def run(x):
        return np.moveaxis(function(np.moveaxis(x, 1, axis)), axis, 1)

    whole = run(noise)
    scale = whole.shape[1] // length
    limit = 1e-4 * np.abs(whole).max()
    near, far = margin * scale, (length - margin) * scale

    def fits(step):
        rest, cut = length - step, step * scale
        try:
            later = run(noise[:, step:])
            if later.shape[1] != rest * scale:
                return False
            if np.abs(whole[:, cut + near :] - later[:, near:]).max() > limit:
                return False
            earlier = run(noise[:, :-step])
        except Exception:  # of any backend: an image of this size does not fit
            return False
        return np.abs(whole[:, : far - cut] - earlier[:, : far - cut]).max() <= limit

    return next(filter(fits, candidates), None)
