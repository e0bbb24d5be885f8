"""Image files as a whole: frames and pages, their timing, colour profile and EXIF data.

`images.read` and `images.write` are for a single image. `ImageFile` and `write` keep
what else a file holds, so that a result can have it, too.
"""

import contextlib
import errno
import itertools
import math
import pathlib
import struct
import threading
import typing
import warnings
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from sr_keras import files
from sr_keras.checks import is_count

# Formats whose files may be animations. Others hold previews, not frames: a JPEG of a
# phone (MPO), for example, may have a second picture.
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_WITH_ALPHA = (".png", ".tif", ".tiff", ".webp", ".gif")
_DEEP = (".png", ".tif", ".tiff")  # can have 16 bits
STREAMED = (".png", ".tif", ".tiff")  # can be written in strips
_DISK_ERRORS = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)
_HEIF = (".heic", ".heif", ".hif")
_LARGEST_TIFF = 3.5e9  # bytes of pixels; above it, BigTIFF is needed
_PIECE = 64  # rows that are compressed at once
_BAND = 256  # rows that are converted at once
_TIFF_TILE = 256
_pillow_limit = threading.RLock()

_ORIENTATION = 0x0112
_EXIF, _GPS = 0x8769, 0x8825
_WIDTH, _HEIGHT = 0xA002, 0xA003
# Description, maker, model, resolution, software, date, artist, rating, copyright, and
# the title, comment, author, keywords and subject of Windows. What else there is
# describes how the pixels are stored.
_KEPT = (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B)
_KEPT += (0x4746, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
# Sizes, and data whose offsets no longer hold: the maker note, a pointer.
_DROPPED = (_WIDTH, _HEIGHT, 0x927C, 0xA005)


class Metadata(typing.NamedTuple):
    """What describes an image besides its pixels.

    Attributes:
        icc_profile: None, or an ICC profile as bytes.
        exif: None, or the EXIF data that still hold for a resized and upright image,
            as `PIL.Image.Exif`.
        dpi: None, or the resolution, `(x, y)` in pixels per inch.
    """

    icc_profile: bytes | None = None
    exif: Image.Exif | None = None
    dpi: tuple | None = None


class ImageFile:
    """An image file: one image, the frames of an animation, or the pages of a TIFF.

    Use it as a context manager, or call `close`.

    Args:
        path: Path of a file in a format that Pillow reads. HEIC files need the package
            pillow-heif.
        max_pixels: The most pixels that are read, so that a small file cannot fill the
            memory. None for Pillow's limit, 179 million; 0 for no limit.

    Attributes:
        path: The path.
        format: The format of the content, as Pillow names it, such as "PNG".
        num_pixels: Number of pixels of the first image.
        is_animation: Whether the images are frames that are shown one after another.
        durations: How long each frame is shown, in milliseconds. None if the file is
            no animation. Known after `scan`.
        loop: How often the animation is played; 0 for ever, None if the file does not
            say, which means once for a GIF.
        metadata: `Metadata` of the first image.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a readable image: empty, truncated, corrupt,
            without pixels, or above the limit. The message names the file.
        OSError: If the disk cannot be read.
    """

    def __init__(self, path, max_pixels=None):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"There is no image file {path}.")
        if self.path.stat().st_size == 0:
            raise ValueError(f"{path} is an empty file, not an image.")
        self._max_pixels = max_pixels
        with contextlib.ExitStack() as stack:
            with self._reading():
                # Opened here because Pillow maps a grey TIFF that it opens by name
                # into memory and then rotates it wrongly.
                self._file = stack.enter_context(open(self.path, "rb"))
                self._image = stack.enter_context(self._open())
                self._indices = self._find_indices()
                image = self._image
                self.format = image.format
                self.num_pixels = math.prod(image.size)
                self.is_animation = image.format in _ANIMATED and len(self) > 1
                self.loop = image.info.get("loop") if self.is_animation else None
                self.metadata = _metadata(image)
            self._stack = stack.pop_all()
        self.durations = None
        self._has_alpha = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __len__(self):
        return len(self._indices)

    @property
    def is_grey(self):
        """Whether `read` returns grey values without alpha."""
        mode, has_alpha = self._image.mode, self._image.has_transparency_data
        is_grey = mode in ("1", "L", "I") or mode.startswith("I;16")
        return is_grey and not self.is_animation and not has_alpha

    def close(self):
        """Closes the file."""
        self._stack.close()

    def scan(self):
        """Reads the durations of all frames, and whether any of them has alpha.

        Raises:
            ValueError: If a frame cannot be read.
        """
        if not self.is_animation or self.durations is not None:
            return
        durations, self._has_alpha = [], False
        with self._reading():
            for index in self._indices:
                self._image.seek(index)
                self._image.load()
                durations.append(float(self._image.info.get("duration", 0)))
                if not self._has_alpha and self._image.has_transparency_data:
                    alpha = self._image.convert("RGBA").getchannel("A")
                    self._has_alpha = alpha.getextrema()[0] < 255
        self.durations = durations

    def read(self, index=0):
        """Reads one image, frame or page, upright.

        Args:
            index: Its number, from 0.

        Returns:
            A uint8 or uint16 array: `(height, width)` for a grey image, `(height,
            width, 2)` with alpha, `(height, width, 3)` or `(height, width, 4)`. All
            frames of an animation have the same shape: RGB, or RGBA if any of them
            has transparent pixels.

        Raises:
            ValueError: If it cannot be read. The message names the file.
        """
        self.scan()
        with self._reading():
            image = self._image
            image.seek(self._indices[index])
            if self.is_animation:
                image = ImageOps.exif_transpose(image)
                return np.array(image.convert("RGBA" if self._has_alpha else "RGB"))
            if not _has_deep_channels(self.path, image):
                return _to_array(image)
            image.load()  # raises if the file is truncated, which OpenCV does not
            orientation = image.getexif().get(_ORIENTATION, 1)
            return _read_deep(self.path, self._indices[index], orientation)

    def _open(self):
        try:
            return Image.open(self._file)
        except UnidentifiedImageError:
            if self.path.suffix.lower() not in _HEIF:
                raise
        try:
            import pillow_heif
        except ImportError as error:
            raise ValueError(
                "HEIC images need the package pillow-heif: pip install pillow-heif"
            ) from error
        pillow_heif.register_heif_opener()
        return Image.open(self._file)

    def _find_indices(self):
        """Returns the numbers of the frames or pages that Pillow seeks."""
        image = self._image
        count = getattr(image, "n_frames", 1)
        if image.format == "PNG" and count > 1:
            # an image for programs without animation may stand before the frames
            return list(range(1 if image.default_image else 0, count))
        if image.format == "TIFF" and count > 1:
            kept = []
            for index in range(count):
                image.seek(index)
                if index == 0 or not image.tag_v2.get(254, 0) & 5:  # preview, mask
                    kept.append(index)
            image.seek(0)
            return kept
        return list(range(count)) if image.format in _ANIMATED else [0]

    @contextlib.contextmanager
    def _reading(self):
        """Allows for `max_pixels`, and lets every error name the file."""
        path = self.path
        try:
            with warnings.catch_warnings(), _limit(self._max_pixels):
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                yield
        except UnidentifiedImageError as error:
            raise ValueError(
                f"{path} is not a readable image{_explain_tiff(path)}."
            ) from error
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"{path} is too large to be read safely: {error} If you trust it,"
                " raise `max_pixels` (--max-megapixels on the command line)."
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # decoders raise anything on corrupt bytes
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise ValueError(f"{path} cannot be read as an image: {error}") from error


@contextlib.contextmanager
def _limit(max_pixels):
    """Changes Pillow's limit, which is the same for all threads."""
    if max_pixels is None:
        yield
        return
    with _pillow_limit:
        former = Image.MAX_IMAGE_PIXELS
        # Pillow refuses what is twice as large
        Image.MAX_IMAGE_PIXELS = max_pixels / 2 if max_pixels else None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = former


def _explain_tiff(path):
    """Returns what is unusual about a TIFF that Pillow does not know, or nothing."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            return (
                f": it is a TIFF of {page.dtype} pixels with {page.samplesperpixel}"
                " channels, and integers of 8 or 16 bits without a sign are needed"
            )
    except Exception:  # not a TIFF
        return ""


def _metadata(image):
    exif = Image.Exif()
    try:
        source = image.getexif()
        for tag in _KEPT:
            if tag in source:
                exif[tag] = source[tag]
        details = source.get_ifd(_EXIF)
        details = {k: v for k, v in details.items() if k not in _DROPPED}
        if details:
            exif[_EXIF] = details
        if position := dict(source.get_ifd(_GPS)):
            exif[_GPS] = position
        exif.tobytes()
    except Exception:  # the photo is readable all the same
        exif = None
    return Metadata(
        image.info.get("icc_profile") or None, exif or None, _dpi(image, exif or {})
    )


def _dpi(image, exif):
    """Returns the resolution in pixels per inch, `(x, y)`, or None."""
    dpi = image.info.get("dpi")
    if dpi is None and {0x011A, 0x011B} <= {*exif}:
        unit = {2: 1.0, 3: 2.54}.get(exif.get(0x0128, 2))  # inch, centimetre
        dpi = unit and (exif[0x011A] * unit, exif[0x011B] * unit)
    if dpi is None or not all(0 < float(x) < 1e6 for x in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


def _has_deep_channels(path, image):
    """Returns True for 16-bit colour, which Pillow would reduce to 8 bits."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            bit_depth, color_type = file.read(26)[24:]
        return bit_depth == 16 and color_type in (2, 4, 6)
    if image.format == "TIFF":
        kind = image.tag_v2.get(339, (1,))[0]
        if kind != 1:
            name = {2: "integers with a sign", 3: "floats of unknown range"}
            raise ValueError(
                f"its pixels are {name.get(kind, 'of an unknown kind')}, and integers"
                " of 8 or 16 bits without a sign are needed"
            )
        return image.mode in ("RGB", "RGBA") and image.tag_v2.get(258, (8,))[0] == 16
    return False


def _read_deep(path, index, orientation):
    with open(path, "rb") as file:
        head = file.read(26)
    is_png = head.startswith(b"\x89PNG")
    planar = None if is_png else _read_planes(path, index)
    if planar is not None:
        return planar
    # imdecode because imread cannot open every path on every system
    data = np.fromfile(path, np.uint8)
    if index == 0:
        array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    else:
        pages = (index, index + 1)
        _, array = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=pages)
        array = array[0] if array else None
    if array is None or array.dtype != np.uint16:
        raise ValueError("its 16-bit pixels cannot be decoded")
    code = cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    array = cv2.cvtColor(array, code)
    if is_png and head[25] == 4:
        array = array[..., [0, 3]]
    # OpenCV applies the orientation of TIFFs only
    return _upright(array, orientation) if is_png else array


def _read_planes(path, index):
    """Reads a TIFF page whose channels are stored one after another, or None."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[index]
        if page.planarconfig != tifffile.PLANARCONFIG.SEPARATE:
            return None
        try:
            array = np.moveaxis(page.asarray(), 0, -1)
        except Exception as error:
            raise ValueError(
                f"its 16-bit channels, in separate planes, cannot be decoded: {error}"
            ) from error
        # Pillow has dropped the tag
        tag = page.tags.get(_ORIENTATION)
        return _upright(array, tag.value if tag else 1)


def _upright(array, orientation):
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _to_array(image):
    is_inverted = image.format == "TIFF" and image.tag_v2.get(262) == 0
    image.load()  # before the orientation: Pillow drops that of a TIFF
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        array = array.astype(np.uint16)
        if is_inverted:  # 0 is white, which Pillow considers for 8 bits only
            array = 65535 - array
        transparent = image.info.get("transparency")
        if transparent is None:
            return array
        alpha = np.where(array == transparent, 0, 65535).astype(np.uint16)
        return np.stack([array, alpha], axis=-1)
    if image.mode == "F":
        raise ValueError("its pixels are floats of unknown range")
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        return _converted(image, "LA" if is_grey else "RGBA")
    return _converted(image, "L" if is_grey else "RGB")


def _converted(image, mode):
    """Returns the pixels in another mode, converted band by band.

    Pillow would hold a large image three more times.
    """
    width, height = image.size
    array = np.empty((height, width, len(mode)), np.uint8)
    for top in range(0, height, _BAND):
        box = 0, top, width, min(top + _BAND, height)
        band = np.asarray(image.crop(box).convert(mode))
        array[top : top + _BAND] = band.reshape(-1, width, len(mode))
    return array[..., 0] if mode == "L" else array


def check_pixels(path, image):
    """Raises a ValueError if an image cannot be stored in a file of such a name."""
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{path}: `image` must be uint8, uint16 or float. Received:"
            f" dtype={image.dtype}"
        )
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (2,), (3,), (4,)):
        raise ValueError(
            f"{path}: `image` must have the shape (height, width[, 1, 2, 3 or 4])."
            f" Received: shape={image.shape}"
        )
    if image.size == 0:
        raise ValueError(
            f"{path}: `image` has no pixels. Received: shape={image.shape}"
        )
    if image.dtype == np.uint16 and suffix not in _DEEP:
        raise ValueError(f"{path}: 16-bit images need the suffix .png or .tif.")
    if image.shape[2:] in ((2,), (4,)) and suffix not in _WITH_ALPHA:
        raise ValueError(
            f"{path}: images with alpha need the suffix .png, .tif or .webp."
        )
    check_size(path, *image.shape[:2])


def check_size(path, height, width):
    """Raises a ValueError if an image is too large for a file of such a name."""
    suffix = pathlib.Path(path).suffix.lower()
    limit = {".jpg": 65535, ".jpeg": 65535, ".gif": 65535, ".webp": 16383}.get(suffix)
    if limit and max(height, width) > limit:
        raise ValueError(
            f"{path}: sides are at most {limit} pixels in {suffix} files. Received:"
            f" {width}x{height} pixels"
        )


def check_quality(quality):
    """Raises a ValueError if a quality is neither None nor 1 to 100."""
    if quality is not None and not (is_count(quality) and quality <= 100):
        raise ValueError(
            f"`quality` must be an integer from 1 to 100. Received: quality={quality!r}"
        )


def write(
    path, frames, metadata=None, quality=None, durations=None, loop=None, num_frames=1
):
    """Writes an image, an animation, or the pages of a TIFF, atomically.

    An interrupted write leaves an existing file untouched.

    Args:
        path: File to write. The suffix determines the format.
        frames: Iterable of uint8 or uint16 arrays, `(height, width)` or `(height,
            width, 2, 3 or 4)`. It may be a generator: pages are asked for one at a
            time, and the frames of an animation are all kept in memory. GIF files
            get palettes of 256 colours, and pixels that are either opaque or not
            there.
        metadata: None or `Metadata`. BMP, PPM and GIF files are written without it,
            and TIFF files without details of the exposure and the position.
        quality: 1 to 100 for JPEG and WebP. None means 95 for JPEG, and lossless for
            WebP.
        durations: None, or how long each frame of an animation is shown, in
            milliseconds. Needed for several frames.
        loop: How often the animation is played; 0 for ever, None for the default of
            the format, which is once for a GIF and for ever otherwise.
        num_frames: Number of pages of a TIFF, by which it is known whether the file
            may have more than 4 GB.

    Raises:
        ValueError: If the pixels do not fit the format, or there are several frames
            and no `durations`, or the file cannot be an animation, which is 8 bits deep
            and has the suffix .png, .webp or .gif. The message names the file.
    """
    path = pathlib.Path(path)
    metadata = metadata or Metadata()
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        with files.replacing(path) as temporary:
            _write_tiff(temporary, path, frames, metadata, num_frames)
        return
    frames = _checked(path, frames)
    first = next(frames)
    can_be_animation = suffix in (".png", ".webp", ".gif") and first.dtype == np.uint8
    if (durations is None or not can_be_animation) and next(frames, None) is not None:
        raise ValueError(
            f"{path}: several frames need `durations`, 8 bits, and the suffix .png,"
            f" .webp or .gif. Received: durations={durations}, dtype={first.dtype}"
        )
    with files.replacing(path) as temporary:
        _encode(temporary, first, frames, metadata, quality, durations, loop)


def write_strips(path, strips, height, metadata=None):
    """Writes a large PNG or TIFF file whose pixels are not all in memory, atomically.

    Args:
        path: File to write, with the suffix .png, .tif or .tiff.
        strips: Iterable of the image's rows from top to bottom, as arrays like those
            that `write` takes.
        height: Number of rows of the image.
        metadata: As for `write`.

    Raises:
        ValueError: If the pixels do not fit the format, or there are more or fewer
            rows than `height`. The message names the file.
    """
    path = pathlib.Path(path)
    metadata = metadata or Metadata()
    suffix = path.suffix.lower()
    if suffix not in STREAMED:
        raise ValueError(
            f"{path}: only files with the suffixes {', '.join(STREAMED)} can be written"
            " in strips."
        )
    strips = _counted(path, _checked(path, strips), height)
    with files.replacing(path) as temporary:
        if suffix == ".png":
            _write_png(temporary, strips, height, metadata)
        else:
            _write_tiled_tiff(temporary, strips, height, metadata)


def _counted(path, strips, height):
    """Raises a ValueError at the end if the number of rows is wrong."""
    count = 0
    for strip in strips:
        count += len(strip)
        if count <= height:
            yield strip
    if count != height:
        raise ValueError(f"{path}: {height} rows were expected. Received: {count}")


def _checked(path, frames):
    for frame in frames:
        check_pixels(path, frame)
        yield frame


def _encode(path, first, rest, metadata, quality, durations, loop):
    suffix = path.suffix.lower()
    if first.dtype == np.uint16:
        _write_png(path, [first], len(first), metadata)
        return
    to_image = _to_gif if suffix == ".gif" else Image.fromarray
    image = to_image(first)
    options = {}
    if suffix in (".jpg", ".jpeg"):
        options["quality"] = 95 if quality is None else quality
        if options["quality"] >= 90:
            options["subsampling"] = 0  # otherwise colours have half the resolution
    elif suffix == ".webp":
        image = image if image.mode == "RGB" else image.convert("RGBA")
        options = {"lossless": True} if quality is None else {"quality": quality}
    if suffix in (".png", ".jpg", ".jpeg", ".webp"):
        space = "GRAY" if image.mode in ("L", "LA") else "RGB "
        options["icc_profile"] = _profile(metadata, space)
        if exif := _sized_exif(metadata.exif, first.shape):
            options["exif"] = exif
        if metadata.dpi and suffix != ".webp":
            options["dpi"] = metadata.dpi
    if durations is not None:
        options.update(save_all=True, append_images=[to_image(x) for x in rest])
        options["duration"] = _rounded(durations) if suffix == ".gif" else durations
        if loop is not None:
            options["loop"] = loop
        if suffix == ".gif" and first.shape[2:] == (4,):
            options["disposal"] = 2
    image.save(path, **options)


def _rounded(durations):
    """Rounds to hundredths of a second so that the sum keeps its length."""
    ends = [round(end / 10) * 10 for end in np.cumsum(durations)]
    return [int(b - a) for a, b in zip([0, *ends], ends, strict=False)]


def _to_gif(array):
    """Returns an image of 256 colours, one of which may be transparent."""
    if array.shape[2:] == (2,):
        array = array[..., [0, 0, 0, 1]]
    if array.shape[2:] != (4,):
        image = Image.fromarray(array)
        return image if image.mode == "L" else image.quantize(256)
    is_visible = array[..., 3:] >= 128
    array = np.where(is_visible, array | np.uint8([0, 0, 0, 255]), np.uint8(0))
    return Image.fromarray(array)  # whose palette Pillow chooses


def _profile(metadata, space):
    """Returns the profile if it is one of colours ("RGB ") or of grey ("GRAY")."""
    profile = metadata.icc_profile or b""
    return profile if profile[16:20] == space.encode() else None


def _sized_exif(source, shape):
    """Returns EXIF data with the size of the result, or None."""
    if source is None:
        return None
    exif = Image.Exif()
    for tag, value in source.items():
        exif[tag] = dict(value) if isinstance(value, dict) else value
    if _EXIF in exif:
        exif[_EXIF].update({_WIDTH: shape[1], _HEIGHT: shape[0]})
    return exif


def _write_png(path, strips, height, metadata):
    """Writes a PNG from strips of rows, or a 16-bit PNG with metadata.

    Pillow needs the whole image and writes no 16-bit colours. OpenCV writes no
    metadata.
    """
    strips = iter(strips)
    first = next(strips)
    width, depth = first.shape[1], first.dtype.itemsize
    channels = first.shape[2] if first.ndim == 3 else 1
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8 * depth, color_type, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head))
        if profile := _profile(metadata, "GRAY" if channels <= 2 else "RGB "):
            file.write(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile)))
        if exif := _sized_exif(metadata.exif, (height, width)):
            body = exif.tobytes().removeprefix(b"Exif\0\0")
            file.write(_chunk(b"eXIf", body))
        if metadata.dpi:
            x, y = (round(float(dpi) / 0.0254) for dpi in metadata.dpi)
            file.write(_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
        compressor = zlib.compressobj(4)
        for strip in itertools.chain([first], strips):
            for rows in _pieces(strip, _PIECE):
                data = compressor.compress(_filtered(rows, depth * channels))
                file.write(_chunk(b"IDAT", data) if data else b"")
        file.write(_chunk(b"IDAT", compressor.flush()) + _chunk(b"IEND", b""))


def _filtered(rows, step):
    """Stores bytes as the differences to those of the pixel on the left.

    Each row begins with the number of this filter.
    """
    kind = ">u2" if rows.dtype == np.uint16 else "u1"
    rows = np.ascontiguousarray(rows, kind).view(np.uint8).reshape(len(rows), -1)
    filtered = np.ones((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 1 : 1 + step] = rows[:, :step]
    filtered[:, 1 + step :] = rows[:, step:] - rows[:, :-step]
    return filtered


def _pieces(strip, num_rows):
    return (strip[i : i + num_rows] for i in range(0, len(strip), num_rows))


def _chunk(name, body):
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def _write_tiff(path, name, frames, metadata, num_frames):
    file = None
    try:
        for frame in _checked(name, frames):
            frame = _common_channels(frame)
            if file is None:
                is_big = num_frames * frame.nbytes > _LARGEST_TIFF
                file = tifffile.TiffWriter(path, bigtiff=is_big)
            file.write(frame, contiguous=False, **_tiff_options(frame, metadata))
    finally:
        if file is not None:
            file.close()


def _write_tiled_tiff(path, strips, height, metadata):
    strips = map(_common_channels, strips)
    first = next(strips)
    shape = height, *first.shape[1:]
    is_big = math.prod(shape) * first.itemsize > _LARGEST_TIFF
    with tifffile.TiffWriter(path, bigtiff=is_big) as file:
        file.write(
            _cut_into_tiles(itertools.chain([first], strips)),
            shape=shape,
            dtype=first.dtype,
            tile=(_TIFF_TILE, _TIFF_TILE),
            **_tiff_options(first, metadata),
        )


def _cut_into_tiles(strips):
    """Yields square tiles, those at the right and at the bottom filled with zeros."""
    rest = None
    for strip in strips:
        rest = strip if rest is None else np.concatenate([rest, strip])
        while len(rest) >= _TIFF_TILE:
            yield from _row_of_tiles(rest[:_TIFF_TILE])
            rest = rest[_TIFF_TILE:]
    if len(rest):
        yield from _row_of_tiles(rest)


def _row_of_tiles(rows):
    for x in range(0, rows.shape[1], _TIFF_TILE):
        part = rows[:, x : x + _TIFF_TILE]
        tile = np.zeros((_TIFF_TILE, _TIFF_TILE, *part.shape[2:]), part.dtype)
        tile[: len(part), : part.shape[1]] = part
        yield tile


def _common_channels(frame):
    """Returns RGBA for 16-bit grey with alpha, which few programs read."""
    is_rare = frame.shape[2:] == (2,) and frame.dtype == np.uint16
    return frame[..., [0, 0, 0, 1]] if is_rare else frame


def _tiff_options(frame, metadata):
    exif = metadata.exif or {}
    texts = {271: exif.get(0x010F), 272: exif.get(0x0110), 315: exif.get(0x013B)}
    texts |= {306: exif.get(0x0132), 33432: exif.get(0x8298)}
    tags = [(code, "s", 0, _ascii(text), True) for code, text in texts.items() if text]
    channels = frame.shape[2] if frame.ndim == 3 else 1
    options = {
        "compression": "zlib",
        "predictor": True,
        "metadata": None,
        "extratags": tags,
        "software": False,
        "photometric": "minisblack" if channels <= 2 else "rgb",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
        "iccprofile": _profile(metadata, "GRAY" if channels <= 2 else "RGB "),
    }
    if description := exif.get(0x010E):
        options["description"] = _ascii(description)
    if metadata.dpi:
        options.update(resolution=tuple(map(float, metadata.dpi)), resolutionunit=2)
    return options


def _ascii(text):
    return str(text).encode("ascii", "replace").decode()
