"""Image files and pixel values: reading, writing, resizing, conversions, luma.

Integer images exist only in files, datasets and the pipeline. `to_float` converts
them to what networks see, and `to_integer` converts back.
"""

import functools
import math
import pathlib

import cv2
import keras
import numpy as np
from keras import ops
from numpy.lib.stride_tricks import as_strided

from sr_keras import image_files
from sr_keras.checks import check_count_lists
from sr_keras.layers import cubic

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

_PEAKS = {"uint8": 255, "uint16": 65535}
_BLOCK = 4  # pixels that one matrix product makes

# MATLAB's rgb2ycbcr (ITU-R BT.601, "studio swing"): rows are R, G, B in
# [0, 1], columns Y, Cb, Cr in 0-255, before the offsets are added.
_YCBCR = np.array(
    [
        [65.481, -37.797, 112.0],
        [128.553, -74.203, -93.786],
        [24.966, 112.0, -18.214],
    ]
)
_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])


def read(path, max_pixels=None):
    """Reads an image file at its own bit depth and applies its EXIF orientation.

    Palette and CMYK images become RGB. Images with an alpha channel or a transparent
    colour become RGBA. A 1-bit image becomes 8-bit grey. 16-bit colour images keep
    their 16 bits if they are PNG or TIFF files; other formats, and CMYK, are read with
    8 bits. Of an animation or of several pages, the first is read.

    Args:
        path: Path of a file in a format that Pillow reads. HEIC files need the package
            pillow-heif.
        max_pixels: The most pixels that are read. None for Pillow's limit against
            decompression bombs, 179 million; 0 for no limit.

    Returns:
        A uint8 or uint16 array: `(height, width)` for a grey image, otherwise
        `(height, width, 3)` or `(height, width, 4)`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a readable image: empty, truncated, corrupt,
            without pixels, of floats or of integers with a sign, or above the limit.
            The message names the file.
        OSError: If the disk cannot be read.
    """
    with image_files.ImageFile(path, max_pixels) as file:
        image = file.read()
    return image[..., [0, 0, 0, 1]] if image.shape[2:] == (2,) else image


def color_profile(path):
    """Returns the ICC profile of an image file as bytes.

    The result is None if the file has no profile, or if the profile does not describe
    the pixels that `read` returns (a CMYK profile, for example). `read` never converts
    colours, whatever the profile.

    Args:
        path: Path of the image file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a readable image.
    """
    with image_files.ImageFile(path, max_pixels=0) as file:  # decodes no pixels
        profile = file.metadata.icc_profile or b""
        space = b"GRAY" if file.is_grey else b"RGB "
        return profile if profile[16:20] == space else None


def write(path, image, icc_profile=None, quality=None):
    """Writes an image file atomically.

    An interrupted write leaves an existing file untouched.

    Args:
        path: File to write. The suffix determines the format; missing folders are
            created.
        image: `(height, width)` array, or `(height, width, channels)` with 1, 2 (grey
            and alpha), 3 or 4 channels: uint8, uint16 (PNG and TIFF only), or float
            in [0, 1], which is written with 8 bits.
        icc_profile: None, or a profile from `color_profile`. BMP and PPM files are
            written without it.
        quality: 1 to 100 for JPEG and WebP. None means 95 for JPEG, and lossless for
            WebP.

    Raises:
        ValueError: If the shape, the dtype, the suffix or the quality is not supported.
    """
    path = pathlib.Path(path)
    image = np.asarray(image)
    if image.dtype.kind == "f":
        image = to_integer(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    image_files.check_pixels(path, image)
    image_files.check_quality(quality)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}.")
    metadata = image_files.Metadata(icc_profile)
    image_files.write(path, [image], metadata, quality)


def to_float(images):
    """Converts integer pixels to float32 in [0, 1]; floats are only cast.

    Args:
        images: Array or tensor of any shape; uint8, uint16 or float.

    Returns:
        A float32 array if `images` is an array, otherwise a float32 tensor.

    Raises:
        ValueError: If the dtype is not supported.
    """
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype not in _PEAKS and "float" not in dtype:
        raise ValueError(
            f"`images` must be uint8, uint16 or float. Received: dtype={dtype}"
        )
    peak = np.float32(_PEAKS.get(dtype, 1))
    if isinstance(images, np.ndarray):
        return images.astype("float32") / peak
    return ops.cast(images, "float32") / peak


def to_integer(images, dtype="uint8"):
    """Converts floats in [0, 1] to integer pixels, clipped and rounded.

    Args:
        images: Float array or tensor of any shape.
        dtype: "uint8" or "uint16".

    Returns:
        A NumPy array of that dtype.

    Raises:
        ValueError: If `dtype` is not supported, or `images` are not floats or contain
            NaN.
    """
    peak = _PEAKS.get(np.dtype(dtype).name)
    if peak is None:
        raise ValueError(f"`dtype` must be uint8 or uint16. Received: dtype={dtype}")
    images = np.asarray(images)
    if "float" not in images.dtype.name:
        raise ValueError(
            f"`images` must be floats in [0, 1]. Received: dtype={images.dtype.name}"
        )
    images = images.astype("float32")
    if np.isnan(images).any():
        raise ValueError("`images` must be floats in [0, 1]. Received: NaN")
    # halves are rounded up, as in MATLAB
    return np.floor(np.clip(images, 0.0, 1.0) * np.float32(peak) + 0.5).astype(dtype)


def rgb_to_ycbcr(images):
    """Converts RGB to YCbCr as MATLAB's `rgb2ycbcr` (ITU-R BT.601, Y in 16-235).

    Args:
        images: Array or tensor `(..., 3)`, RGB: float in [0, 1], or a uint8 or uint16
            array, for which the result is rounded as in MATLAB.

    Returns:
        Y, Cb and Cr in the same shape and dtype.
    """
    return _affine(images, _YCBCR, _YCBCR_OFFSET)


def ycbcr_to_rgb(images):
    """Converts YCbCr to RGB, the inverse of `rgb_to_ycbcr`, without clipping.

    Args:
        images: Array or tensor `(..., 3)`, float.

    Returns:
        RGB in the same shape and dtype.
    """
    inverse = np.linalg.inv(_YCBCR)
    return _affine(images, inverse * 255**2, -_YCBCR_OFFSET @ inverse * 255)


def luma(images):
    """Computes the luma (Y) on which papers compute their scores.

    A grey image is returned unchanged, as for the published scores.

    Args:
        images: Array or tensor: RGB `(..., 3)`, or grey `(..., 1)` or
            `(height, width)`; float in [0, 1], or a uint8 or uint16 array.

    Returns:
        `(..., 1)`, or the grey image. For float RGB the values are in
        [16/255, 235/255].

    Raises:
        ValueError: If the last axis has neither 1 nor 3 channels, or the dtype of an
            RGB image is not supported.
    """
    if len(images.shape) == 2 or images.shape[-1] == 1:
        return images
    return _affine(images, _YCBCR[:, :1], _YCBCR_OFFSET[:1])


def _affine(images, matrix, offset):
    """Computes `images @ matrix + offset`; `matrix` and `offset` are for 0-255."""
    if images.shape[-1] != 3:
        raise ValueError(
            f"`images` must have 3 channels (RGB). Received: shape={images.shape}"
        )
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype in _PEAKS:
        result = images / _PEAKS[dtype] @ matrix + offset  # float64
        result = np.clip(result * (_PEAKS[dtype] / 255), 0, _PEAKS[dtype])
        return np.floor(result + 0.5).astype(dtype)
    if "float" not in dtype:
        raise ValueError(
            f"`images` must be uint8, uint16 or float. Received: dtype={dtype}"
        )
    matrix, offset = (matrix / 255).astype(dtype), (offset / 255).astype(dtype)
    if not isinstance(images, np.ndarray):  # torch cannot mix tensors and arrays
        matrix, offset = ops.convert_to_tensor(matrix), ops.convert_to_tensor(offset)
    # not matmul, because a GPU may round its factors to 11 bits
    return sum(images[..., i : i + 1] * matrix[i] for i in range(3)) + offset


def crop_border(images, border):
    """Cuts `border` pixels from every side of `(..., height, width, channels)`.

    Args:
        images: Array or tensor `(..., height, width, channels)`.
        border: Number of pixels to cut.

    Raises:
        ValueError: If `border` is negative, or nothing would be left (in a graph: if
            the size is known).
    """
    if border < 0:
        raise ValueError(f"`border` must not be negative. Received: border={border}")
    if border == 0:
        return images
    height, width = images.shape[-3:-1]
    if min(height or border * 3, width or border * 3) <= 2 * border:
        raise ValueError(
            f"`border` must be smaller than half of the image. Received:"
            f" border={border} for an image of {height}x{width} pixels"
        )
    return images[..., border:-border, border:-border, :]


def crop_to_multiple(image, factor):
    """Cuts bottom and right so that height and width are multiples of `factor`.

    Args:
        image: `(height, width)` or `(height, width, channels)`.
        factor: A positive integer, usually `scale`.
    """
    height, width = image.shape[:2]
    return image[: height - height % factor, : width - width % factor]


def resize(image, size, method="bicubic", border="replicate"):
    """Resizes an image with antialiasing, as MATLAB's `imresize` does.

    Rows are resized first, then columns. Integer images are rounded and clipped after
    each of the two passes, which reproduces the LR files of the benchmark sets exactly.
    Floats are not clipped: bicubic interpolation overshoots at edges.

    Args:
        image: NumPy array `(height, width)` or `(height, width, channels)`: uint8,
            uint16 or float.
        size: `(height, width)` of the result.
        method: "bicubic" (a = -0.5), "bilinear" or "area" (a box filter). When an
            axis shrinks, the kernel is stretched by the factor.
        border: How the image continues beyond its border: "replicate", as in the
            MATLAB version that made the benchmark sets; "symmetric", as in newer
            ones; or "wrap", on the opposite side, as a texture that is tiled.

    Returns:
        An array of the same dtype and rank. Floats are computed in float32.

    Raises:
        ValueError: If the dtype, `size`, `method` or `border` is not supported.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """
    peak = _PEAKS.get(image.dtype.name)
    if peak is None and image.dtype.kind != "f":
        raise ValueError(
            f"`image` must be uint8, uint16 or float. Received: dtype={image.dtype}"
        )
    check_count_lists(2, size=list(size))
    if method not in _KERNELS:
        raise ValueError(
            f"`method` must be one of {', '.join(_KERNELS)}."
            f" Received: method={method!r}"
        )
    if border not in (*BORDERS, "wrap"):
        raise ValueError(
            f"`border` must be one of {', '.join(BORDERS)}, wrap."
            f" Received: border={border!r}"
        )
    x = image
    for axis in (0, 1):
        if x.shape[axis] != size[axis]:
            x = _resize_axis(x, axis, size[axis], method, border, peak)
            if peak is not None:  # truncation, so that halves are rounded up
                x = (np.clip(x, 0, peak, out=x) + 0.5).astype(image.dtype)
    return x.astype(image.dtype, copy=x is image)


def _resize_axis(x, axis, size, method, border, peak):
    """Resizes one axis; returns floats that are neither rounded nor clipped."""
    first, weights = _contributions(x.shape[axis], size, method)
    taps = weights.shape[1]
    stride, rest = divmod(x.shape[axis], size)
    # Sums of 8-bit pixels times 12-bit weights are exact in float32, in any order.
    is_exact = peak is None or (peak == 255 and not np.any(weights * 4096 % 1))
    if is_exact and rest == 0:
        return _downscale_axis(x, axis, size, method, border)
    dtype = np.float32 if is_exact else np.float64
    rows = np.ascontiguousarray(np.moveaxis(x, axis, 0)).astype(dtype)
    weights = weights.astype(dtype).reshape(size, taps, *[1] * (rows.ndim - 1))
    if rest == 0:  # all outputs have the same weights, and slices are fast
        index = np.arange(first[0], first[-1] + taps)
        padded = rows[_continue(index, len(rows), border)]
        parts = (padded[t : t + stride * (size - 1) + 1 : stride] for t in range(taps))
    else:
        index = _continue(first[:, None] + np.arange(taps), len(rows), border)
        parts = (rows[index[:, t]] for t in range(taps))
    result = np.zeros((size, *rows.shape[1:]), dtype)
    product = np.empty_like(result)
    for t, part in enumerate(parts):
        result += np.multiply(weights[:, t], part, out=product)
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


def _downscale_axis(x, axis, size, method, border):
    """Shrinks one axis by an integer factor: a matrix product for every few outputs.

    A matrix for all outputs would be nearly empty.
    """
    channels = math.prod(x.shape[2:]) if axis == 1 else 1
    if channels > 4:
        rows = _downscale_axis(np.swapaxes(x, 0, 1), 0, size, method, border)
        return np.ascontiguousarray(np.swapaxes(rows, 0, 1))
    before, pixels, matrix = _block(x.shape[axis], size, method, channels)
    stride = x.shape[axis] // size * _BLOCK
    count = -(-size // _BLOCK)
    after = max(stride * (count - 1) + pixels - before - x.shape[axis], 0)
    margins = (before, after, 0, 0) if axis == 0 else (0, 0, before, after)
    x = np.ascontiguousarray(x, x.dtype if x.dtype == np.uint8 else "float32")
    flat = x.reshape(len(x), -1) if axis == 0 else x
    padded = cv2.copyMakeBorder(flat, *margins, _OPENCV_BORDERS[border])
    padded = padded.reshape(len(padded), -1).astype("float32", copy=False)
    down, right = padded.strides
    if axis == 0:
        shape, strides = (count, pixels, padded.shape[1]), (stride * down, down, right)
        result = matrix @ as_strided(padded, shape, strides, writeable=False)
        return result.reshape(-1, *x.shape[1:])[:size]
    shape = count, len(x), pixels * channels
    strides = stride * channels * right, down, right
    result = as_strided(padded, shape, strides, writeable=False) @ matrix.T
    result = np.swapaxes(result, 0, 1).reshape(len(x), -1, *x.shape[2:])
    return np.ascontiguousarray(result[:, :size])


@functools.lru_cache(maxsize=64)
def _block(old_size, new_size, method, channels):
    """Returns the matrix that makes `_BLOCK` outputs of the pixels they depend on.

    Returns:
        How many of the pixels of the first block lie before the image, the number of
        pixels, and a matrix `(_BLOCK * channels, pixels * channels)`.
    """
    first, weights = _contributions(old_size, new_size, method)
    stride, taps = old_size // new_size, weights.shape[1]
    matrix = np.zeros((_BLOCK, stride * (_BLOCK - 1) + taps), "float32")
    for i, row in enumerate(matrix):
        row[i * stride : i * stride + taps] = weights[0]
    spread = np.kron(matrix, np.eye(channels, dtype="float32"))
    return -int(first[0]), matrix.shape[1], spread


@functools.lru_cache(maxsize=64)
def _contributions(old_size, new_size, method):
    """Returns the first pixel of each output pixel's window, and `(new_size, taps)`.

    Output pixel i is centred at `(i + 0.5) * old_size / new_size - 0.5`.
    """
    kernel, support = _KERNELS[method]
    ratio = old_size / new_size
    stretch = max(ratio, 1.0)  # antialiasing
    centre = (np.arange(new_size) + 0.5) * ratio - 0.5
    first = np.floor(centre - support * stretch).astype(int)
    offsets = np.arange(int(np.ceil(2 * support * stretch)) + 2)
    weights = kernel((first[:, None] + offsets - centre[:, None]) / stretch)
    weights[np.abs(weights) <= 1e-12] = 0
    used = np.flatnonzero(weights.any(axis=0))
    weights = weights[:, used[0] : used[-1] + 1]
    return first + used[0], weights / weights.sum(axis=1, keepdims=True)


def _continue(index, size, border):
    """Maps indices beyond the border of an image to pixels inside it."""
    if border == "wrap":
        return index % size
    if border == "symmetric":
        index = np.where(index < 0, -index - 1, index)
        index = np.where(index >= size, 2 * size - 1 - index, index)
    return np.clip(index, 0, size - 1)


def _box(x):
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


def _triangle(x):
    return np.maximum(1 - np.abs(x), 0)


BORDERS = ("replicate", "symmetric")
_OPENCV_BORDERS = {
    "replicate": cv2.BORDER_REPLICATE,
    "symmetric": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
_KERNELS = {"bicubic": (cubic, 2), "bilinear": (_triangle, 1), "area": (_box, 0.5)}
