"""A network over one image of any size, in tiles."""

import contextlib
import functools
import itertools
import logging
import math
import warnings

import keras
import numpy as np

from sr_keras import images, models
from sr_keras.checks import is_count
from sr_keras.receptive_field import ReceptiveField, from_graph, receptive_field

# Side of tiles if none is asked for, and the least if an engine needs smaller ones.
_TILE, _SMALL_TILE = 256, 128

# Pixels around a tile if its result cannot, or should not, be exact.
_FALLBACK_HALO = 64
# A larger halo is used only if asked for: windows would be many times their tiles.
_LARGEST_HALO = 192
# Bicubic interpolation of the colours around a network of one channel reaches so far.
_CHROMA_HALO = 2
# Pixels by which colours are continued into transparent regions.
_BLEEDING = 8
# Untrained networks apart, no output in [0, 1] overshoots so far, and nearly all
# outputs in [0, 255] do.
IMPLAUSIBLE = 8.0


class NotFiniteError(ValueError):
    """A network returned NaN or infinite values for an image."""


def check_image(image):
    """Raises a ValueError if an array is not an image that `enlarge` takes."""
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise ValueError(
            f"`image` must be uint8, uint16 or float. Received: {image.dtype}"
        )
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (2,), (3,), (4,)):
        raise ValueError(
            "`image` must have the shape ([batch,] height, width[, 1, 2, 3 or 4])."
            f" Received: {image.shape}"
        )
    if 0 in image.shape:
        raise ValueError(f"`image` must have pixels. Received: {image.shape}")
    if image.dtype.kind == "f":
        low, high = image.min(), image.max()
        if not (-0.5 <= low and high <= 1.5):  # overshoot is fine, 255 is not
            raise ValueError(
                f"A float `image` must be in [0, 1]. Received: [{low:g}, {high:g}]"
            )


def enlarge(
    model, image, tile, self_ensemble=False, progress=None, halo=None, tileable=False
):
    """Upscales an image by the factor of a network.

    `inference.upscale` describes the arguments. The image is an array `(height,
    width)` or `(height, width, channels)`, with 1 to 4 channels, the last of 2 or 4 of
    which is alpha.
    """
    result = None
    options = tile, self_ensemble, progress, halo, tileable
    for rows, columns, scale, part in _parts(model, image, *options):
        if result is None:
            shape = (scale * image.shape[0], scale * image.shape[1], *image.shape[2:])
            result = np.empty(shape, image.dtype)
        result[rows, columns] = part
    return result


def strips(
    model, image, tile, self_ensemble=False, progress=None, halo=None, tileable=False
):
    """Yields the result of `enlarge` from top to bottom, a row of tiles at a time.

    A strip has the width, the channels and the dtype of the result.
    """
    strip = None
    options = tile, self_ensemble, progress, halo, tileable
    for _, columns, scale, part in _parts(model, image, *options):
        width = scale * image.shape[1]
        if strip is None:
            strip = np.empty((len(part), width, *image.shape[2:]), image.dtype)
        strip[:, columns] = part
        if columns.stop == width:
            yield strip
            strip = None


def _parts(model, image, tile, self_ensemble, progress, halo, tileable):
    """Yields the tiles of the result, row by row.

    Each is `(rows, columns, scale, pixels)`, with the slices where it belongs.
    """
    check_image(image)
    is_auto = isinstance(tile, str) and tile == "auto"
    if is_auto:
        tile = _TILE
    elif tile is not None and tile != 0 and not is_count(tile):
        raise ValueError(
            '`tile` must be a positive integer, 0, None or "auto". Received:'
            f" tile={tile!r}"
        )
    pixels = image[..., None] if image.ndim == 2 else image
    height, width, channels = pixels.shape
    has_alpha = channels in (2, 4)
    function, network_channels, reach = _fit(model, 1 if channels < 3 else 3)

    field = ReceptiveField(0, 1)
    if tileable or (tile and max(height, width) > tile):
        reach += _BLEEDING if has_alpha else 0
        field = _field_for_tiles(model, halo)
        window = getattr(model, "largest_window", None)
        if is_auto and window is not None:
            tile = min(tile, max(window - 2 * (field.halo + reach), _SMALL_TILE))
    margin = 0
    if tileable:
        # Rounded up so that layers with strides divide the image as before.
        margin = math.ceil((field.halo + reach) / field.step) * field.step
        pad = [(margin, margin), (margin, margin), (0, 0)]
        pixels = np.pad(pixels, pad, mode="wrap")
        height, width = pixels.shape[:2]
    rows = _windows(height, tile or height, field.halo + reach, field.step)
    columns = _windows(width, tile or width, field.halo + reach, field.step)

    if self_ensemble:
        function = functools.partial(_mean_of_eight, function)
    largest, done = 0.0, 0
    inner = [slice(margin, side - margin) for side in (height, width)]
    for (y, tall), (x, wide) in itertools.product(rows, columns):
        window = images.to_float(pixels[tall, wide])
        with _quiet_retracing():
            sr = _enlarge(function, network_channels, window, has_alpha)
        if not np.isfinite(sr).all():
            raise NotFiniteError(
                "The network returned NaN or infinite values: its training diverged,"
                " or it needs float32."
            )
        largest = max(largest, np.abs(sr).max())
        done += 1
        if progress:
            progress(done, len(rows) * len(columns))
        y, x = _intersection(y, inner[0]), _intersection(x, inner[1])
        if y.start >= y.stop or x.start >= x.stop:
            continue
        scale = len(sr) // len(window)
        sr = sr[_scaled(y, scale, tall.start), _scaled(x, scale, wide.start)]
        if image.dtype.kind == "f":
            sr = np.clip(sr, 0.0, 1.0).astype(image.dtype, copy=False)
        else:
            sr = images.to_integer(sr, image.dtype)
        sr = sr[..., 0] if image.ndim == 2 else sr
        yield _scaled(y, scale, margin), _scaled(x, scale, margin), scale, sr
    if largest > IMPLAUSIBLE:
        warnings.warn(
            "The network must return floats in [0, 1], which is where they were"
            f" clipped. It returned values of up to {largest:g}: it is untrained, or"
            " its outputs are in [0, 255].",
            stacklevel=4,
        )


def _fit(model, channels):
    """Returns what upscales images of 1 or 3 channels.

    Returns:
        The function for a batch, its number of channels, and how many pixels it looks
        further than `model`.
    """
    outputs = getattr(model, "outputs", None)
    if isinstance(model, keras.Model) and outputs and len(outputs) != 1:
        raise ValueError(
            "The network must have one output. Received: output shapes"
            f" {[output.shape for output in outputs]}"
        )
    shape = getattr(model, "input_shape", None)
    expected = 3 if shape is None else shape[-1]
    if expected not in (1, 3):
        raise ValueError(
            "The network must take images of 1 or 3 channels. Received: input shape"
            f" {shape}"
        )
    # compiled once for all sizes
    function = model.predict_on_batch if isinstance(model, keras.Model) else model
    if expected == 1 and channels == 3:
        return functools.partial(_upscale_luma, function), 3, _CHROMA_HALO
    return function, expected, 0


def _upscale_luma(function, rgb):
    """Upscales luma by a network, and chroma by bicubic interpolation."""
    ycbcr = np.asarray(images.rgb_to_ycbcr(rgb))
    y = _run(function, ycbcr[..., :1])
    scale = y.shape[1] // rgb.shape[1]
    cbcr = _bicubic(scale, 2).predict_on_batch(ycbcr[..., 1:])
    return images.ycbcr_to_rgb(np.concatenate([y, cbcr], axis=-1))


@functools.cache
def _bicubic(scale, channels):
    return models.bicubic(scale, channels=channels)


def _enlarge(function, network_channels, window, has_alpha):
    """Upscales a float window `(height, width, 1 to 4)`."""
    channels = window.shape[-1] - has_alpha
    color, alpha = window[..., :channels], window[..., channels:]
    if alpha.size:
        color = _continue_colors(color, alpha)
    if channels < network_channels:
        color = np.repeat(color, network_channels, axis=-1)
    sr = _run(function, color[None])[0]
    if channels < network_channels:
        sr = sr.mean(axis=-1, keepdims=True)
    if not alpha.size:
        return sr
    scale = len(sr) // len(window)
    return np.concatenate([sr, _bicubic(scale, 1).predict_on_batch(alpha[None])[0]], -1)


def _run(function, lr):
    """Calls a network, and checks the size and the dtype of what it returns."""
    sr = keras.ops.convert_to_numpy(function(lr))
    _, height, width, channels = lr.shape
    scale = sr.shape[1] // height if sr.ndim == 4 else 0
    if scale < 1 or sr.shape != (1, scale * height, scale * width, channels):
        raise ValueError(
            "The network must return an integer multiple of the height and width of"
            f" its input. Received: {sr.shape} for an input of {lr.shape}"
        )
    if sr.dtype.kind in "biu":
        raise ValueError(
            f"The network must return floats in [0, 1]. Received: {sr.dtype}"
        )
    return sr.astype("float32", copy=False)


@contextlib.contextmanager
def _quiet_retracing():
    """Hides TensorFlow's warning about retracing.

    Keras traces every network twice for images of different sizes, and TensorFlow
    counts the traces of all networks together.
    """
    logger = logging.getLogger("tensorflow")

    def is_other(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _mean_of_eight(function, lr):
    total = 0.0
    for turns in range(4):
        turned = np.rot90(lr, turns, axes=(1, 2))
        sr = keras.ops.convert_to_numpy(function(np.ascontiguousarray(turned)))
        mirrored = function(np.ascontiguousarray(turned[:, :, ::-1]))
        sr = sr + keras.ops.convert_to_numpy(mirrored)[:, :, ::-1]
        total = total + np.rot90(sr, -turns, axes=(1, 2))
    return total / 8


def _continue_colors(color, alpha):
    """Gives transparent pixels the colours of the visible ones beside them."""
    known = (alpha > 0).astype("float32")
    if known.all() or not known.any():
        return color
    for _ in range(_BLEEDING):
        count = _sum_of_nine(known)
        mean = _sum_of_nine(color * known) / np.maximum(count, 1)
        color = np.where(known > 0, color, mean)
        known = (count > 0).astype("float32")
    return color


def _sum_of_nine(x):
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    x = x[:-2] + x[1:-1] + x[2:]
    return x[:, :-2] + x[:, 1:-1] + x[:, 2:]


def _windows(size, tile, halo, step):
    """Cuts one axis into equal tiles, each with the window it is computed from.

    Windows are cut at the image's border instead of padded. They begin at a
    multiple of `step`, and end at one if counted from the end of the image, so
    that layers with strides divide them as they divide the whole image.
    """
    windows = []
    count = math.ceil(size / tile)
    tile = math.ceil(size / count)
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        first = max(start - halo, 0) // step * step
        last = size - max(size - stop - halo, 0) // step * step
        windows.append((slice(start, stop), slice(first, last)))
    return windows


def _intersection(a, b):
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _scaled(pixels, scale, origin=0):
    return slice(scale * (pixels.start - origin), scale * (pixels.stop - origin))


def _field_for_tiles(model, halo):
    """Returns a `ReceptiveField` with a finite halo."""
    if isinstance(halo, tuple):
        if len(halo) != 2:
            raise ValueError(
                "A tuple for `halo` must be a `ReceptiveField`, (halo, step). Received:"
                f" halo={halo!r}"
            )
        halo, step = halo
        if not is_count(step):
            raise ValueError(f"The step must be a positive integer. Received: {step!r}")
    elif halo is not None:
        step = (from_graph(model) or ReceptiveField(halo, 1)).step
    if halo is not None:
        if halo != 0 and not is_count(halo):
            raise ValueError(
                "`halo` must be a non-negative integer, a `ReceptiveField` or None."
                f" Received: halo={halo!r}"
            )
        return ReceptiveField(int(halo), int(step))
    field = receptive_field(model)
    name = getattr(model, "name", repr(model))
    if field.halo is None:
        warnings.warn(
            f"The network '{name}' looks at the whole image, or too far around each"
            " pixel, for tiles to give the same result. Pass tile=None if memory"
            " allows.",
            stacklevel=5,
        )
    elif field.halo > _LARGEST_HALO:
        warnings.warn(
            f"The network '{name}' looks {field.halo} pixels far, but the windows"
            f" extend {_FALLBACK_HALO} pixels beyond their tiles, so that the result"
            f" differs a little from that of the whole image. Pass halo={field.halo}"
            " for an exact result, which takes longer, or tile=None if memory allows.",
            stacklevel=5,
        )
    else:
        return field
    return field._replace(halo=_FALLBACK_HALO)
