"""Image files and pixel values: reading, writing, [0, 1] floats, luma.

Integer images exist in files, datasets and the pipeline only. `to_float` is
the one place where they become what networks see, `to_integer` the way back.
"""

import contextlib
import errno
import os
import pathlib
import struct
import uuid
import warnings
import zlib

import cv2
import keras
import numpy as np
from keras import ops
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

_PEAKS = {"uint8": 255, "uint16": 65535}
_ORIENTATION = 0x0112  # the EXIF tag
_FAULTS_OF_DISKS = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)
_PNG_HEAD = 33  # bytes of signature and first chunk

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


def read(path):
    """Reads an image file, upright, with the bit depth it has.

    Palette and CMYK images become RGB; with alpha, or a transparent colour, they
    and grey images become RGBA. A 1-bit image becomes 8-bit grey. The EXIF
    orientation is applied. Colour images of 16 bits keep them in PNG and TIFF; in
    other formats, and as CMYK, they are read with 8.

    Args:
        path: Path of a file in a format Pillow reads.

    Returns:
        `(height, width)` for a grey image, else `(height, width, 3)` or
        `(height, width, 4)`, a uint8 or uint16 array.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, is empty, truncated or corrupt,
            has no pixels, or more than Pillow's limit against decompression
            bombs (179 million). The message names the file.
        OSError: If the disk cannot be read.
    """
    with _open(path) as image:
        if not _has_deep_channels(path, image):
            return _to_array(ImageOps.exif_transpose(image))
        image.load()  # finds out whether the file is complete, as OpenCV does not
        # OpenCV turns a TIFF upright, and no other; Pillow has dropped a TIFF's tag
        return _read_deep(path, image.getexif().get(_ORIENTATION, 1))


def color_profile(path):
    """Returns the ICC profile of an image file, which says what its RGB values mean.

    Bytes, or None if there is none, or it is of other colours than those that `read`
    makes (of CMYK, say). `read` leaves values as they are, whatever their profile.

    Raises:
        FileNotFoundError: As `read`.
        ValueError: As `read`.
    """
    with _open(path) as image:
        is_grey = image.mode in ("1", "L", "I") or image.mode.startswith("I;16")
        is_grey = is_grey and not image.has_transparency_data
        profile = image.info.get("icc_profile") or b""
        space = b"GRAY" if is_grey else b"RGB "
        return profile if profile[16:20] == space else None


@contextlib.contextmanager
def _open(path):
    """Opens an image file with Pillow; whatever is wrong with it names the file."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no image file {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is an empty file, not an image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # an open file, because Pillow maps grey TIFFs by name, and turns them wrong
            with open(path, "rb") as file, Image.open(file) as image:
                yield image
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image, or one without pixels.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large to be read safely: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # corrupt bytes make decoders raise anything
        if isinstance(error, OSError) and error.errno in _FAULTS_OF_DISKS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _has_deep_channels(path, image):
    """Whether the file has several channels of 16 bits, which Pillow halves."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            bit_depth, color_type = file.read(26)[24:]
        return bit_depth == 16 and color_type in (2, 4, 6)
    if image.format == "TIFF" and image.mode in ("RGB", "RGBA"):
        is_deep = image.tag_v2.get(258, (8,))[0] == 16
        if is_deep and image.tag_v2.get(284, 1) != 1:
            raise ValueError("its 16-bit channels lie in separate planes")
        return is_deep
    return False


def _read_deep(path, orientation):
    # imdecode, because imread does not open every path on every system
    data = np.fromfile(path, np.uint8)
    array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        raise ValueError("its 16-bit pixels cannot be decoded")
    code = cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    array = cv2.cvtColor(array, code)
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _to_array(image):
    if image.mode == "I" or image.mode.startswith("I;16"):
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        return array.astype(np.uint16)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, without a range")
    if image.has_transparency_data:
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def write(path, image, icc_profile=None):
    """Writes an image file, whole or not at all.

    The file appears under its name only when it is complete, so that an
    interrupted write leaves a former file as it was.

    JPEG has quality 95; all other formats keep the pixels.

    Args:
        path: Where to write; the suffix says the format. Folders are made.
        image: `(height, width)`, `(height, width, 1)`, `(height, width, 3)` or
            `(height, width, 4)` array; uint8, uint16 (PNG and TIFF only), or
            float in [0, 1], which is written with 8 bits.
        icc_profile: None, or what `color_profile` returns; it is left out of BMP, PPM
            and TIFF of 16 bits.

    Raises:
        ValueError: If the shape or the format does not fit.
    """
    path = pathlib.Path(path)
    image = np.asarray(image)
    if image.dtype.kind == "f":
        image = to_integer(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.dtype.name not in _PEAKS:
        raise ValueError(
            f"{path}: pixels must be uint8, uint16 or float. Received: {image.dtype}"
        )
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
        raise ValueError(
            f"{path}: an image must have the shape (height, width[, 1, 3 or 4])."
            f" Received: {image.shape}"
        )
    if image.size == 0:
        raise ValueError(f"{path}: an image without pixels cannot be written.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}.")
    if image.dtype == np.uint16 and suffix not in (".png", ".tif", ".tiff"):
        raise ValueError(f"{path}: 16 bits can be written as .png or .tif only.")
    if image.shape[2:] == (4,) and suffix not in (".png", ".tif", ".tiff", ".webp"):
        raise ValueError(f"{path}: alpha can be written as .png, .tif or .webp only.")

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        _encode(temporary, image, icc_profile)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _encode(path, image, icc_profile):
    if image.dtype == np.uint16:
        if image.ndim == 3:
            code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
            image = cv2.cvtColor(image, code)
        _, data = cv2.imencode(path.suffix, image)
        data = data.tobytes()
        if icc_profile and path.suffix == ".png":  # which OpenCV does not write
            data = data[:_PNG_HEAD] + _profile_chunk(icc_profile) + data[_PNG_HEAD:]
        path.write_bytes(data)
        return
    options = {"icc_profile": icc_profile}
    if path.suffix in (".jpg", ".jpeg"):
        options["quality"] = 95
    elif path.suffix == ".webp":
        options["lossless"] = True
    Image.fromarray(image).save(path, **options)


def _profile_chunk(icc_profile):
    body = b"iCCPicc\0\0" + zlib.compress(icc_profile)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def to_float(images):
    """Turns integer pixels into float32 in [0, 1]; floats are only cast.

    Args:
        images: Array or tensor of any shape; uint8, uint16 or float.

    Returns:
        An array if an array came, else a tensor; float32.

    Raises:
        ValueError: If the dtype is another one.
    """
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype not in _PEAKS and "float" not in dtype:
        raise ValueError(f"Pixels must be uint8, uint16 or float. Received: {dtype}")
    peak = np.float32(_PEAKS.get(dtype, 1))
    if isinstance(images, np.ndarray):
        return images.astype("float32") / peak
    return ops.cast(images, "float32") / peak


def to_integer(images, dtype="uint8"):
    """Turns floats in [0, 1] into rounded, clipped integer pixels.

    Args:
        images: Float array or tensor of any shape.
        dtype: "uint8" or "uint16".

    Returns:
        A numpy array of that dtype.

    Raises:
        ValueError: If `dtype` is another one, or the pixels are no floats, or NaN.
    """
    peak = _PEAKS.get(np.dtype(dtype).name)
    if peak is None:
        raise ValueError(f"`dtype` must be uint8 or uint16. Received: {dtype}")
    images = np.asarray(images)
    if "float" not in images.dtype.name:
        raise ValueError(
            f"`images` must be floats in [0, 1]. Received: {images.dtype.name}"
        )
    images = images.astype("float32")
    if np.isnan(images).any():
        raise ValueError("`images` must be floats in [0, 1]. Received: NaN")
    # add before flooring: halves are rounded up, as MATLAB does
    return np.floor(np.clip(images, 0.0, 1.0) * np.float32(peak) + 0.5).astype(dtype)


def rgb_to_ycbcr(images):
    """Computes MATLAB's `rgb2ycbcr` (ITU-R BT.601; Y is 16-235 of 255).

    Args:
        images: Array or tensor `(..., 3)`, RGB; float in [0, 1], or a uint8 or uint16
            array, whose result is rounded to integers as MATLAB does it.

    Returns:
        Y, Cb and Cr in the same shape and dtype.
    """
    return _affine(images, _YCBCR, _YCBCR_OFFSET)


def ycbcr_to_rgb(images):
    """Inverts `rgb_to_ycbcr`; colours outside of RGB are not clipped.

    Args:
        images: Array or tensor `(..., 3)`, float.

    Returns:
        RGB in the same shape and dtype.
    """
    inverse = np.linalg.inv(_YCBCR)
    return _affine(images, inverse * 255**2, -_YCBCR_OFFSET @ inverse * 255)


def luma(images):
    """Computes the luma (Y) that papers compute their scores on.

    A grey image is its own luma, unscaled, as in the published scores.

    Args:
        images: Array or tensor: RGB `(..., 3)`, or grey `(..., 1)` or
            `(height, width)`; float in [0, 1], or a uint8 or uint16 array.

    Returns:
        `(..., 1)`, or the grey image as it came. For float RGB the values lie
        in [16/255, 235/255].

    Raises:
        ValueError: If the last axis has neither 1 nor 3 channels, or RGB another
            dtype.
    """
    if len(images.shape) == 2 or images.shape[-1] == 1:
        return images
    return _affine(images, _YCBCR[:, :1], _YCBCR_OFFSET[:1])


def _affine(images, matrix, offset):
    """Computes `images @ matrix + offset`, where the result is in 0-255."""
    if images.shape[-1] != 3:
        raise ValueError(f"Images must have 3 channels, RGB. Received: {images.shape}")
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype in _PEAKS:
        result = images / _PEAKS[dtype] @ matrix + offset  # float64
        result = np.clip(result * (_PEAKS[dtype] / 255), 0, _PEAKS[dtype])
        return np.floor(result + 0.5).astype(dtype)
    if "float" not in dtype:
        raise ValueError(f"Pixels must be uint8, uint16 or float. Received: {dtype}")
    matrix, offset = (matrix / 255).astype(dtype), (offset / 255).astype(dtype)
    if not isinstance(images, np.ndarray):  # torch mixes its tensors with no arrays
        matrix, offset = ops.convert_to_tensor(matrix), ops.convert_to_tensor(offset)
    # no matmul, whose factors a GPU may round to 11 bits
    return sum(images[..., i : i + 1] * matrix[i] for i in range(3)) + offset


def crop_border(images, border):
    """Cuts `border` pixels from every side of `(..., height, width, channels)`.

    Raises:
        ValueError: If nothing would be left (in a graph, if the size is known), or
            `border` is negative.
    """
    if border < 0:
        raise ValueError(f"`border` must be 0 or more. Received: {border}")
    if border == 0:
        return images
    height, width = images.shape[-3:-1]
    if min(height or border * 3, width or border * 3) <= 2 * border:
        raise ValueError(
            f"A border of {border} leaves nothing of an image of {height}x{width}."
        )
    return images[..., border:-border, border:-border, :]


def crop_to_multiple(image, factor):
    """Cuts bottom and right so that both sides are multiples of `factor`.

    Args:
        image: `(height, width)` or `(height, width, channels)`.
        factor: The multiple, as a rule `scale`.
    """
    height, width = image.shape[:2]
    return image[: height - height % factor, : width - width % factor]
