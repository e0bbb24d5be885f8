"""Upscaling images, files and videos with networks, to any size."""

import functools
import itertools
import math
import mimetypes
import os
import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps

from sr_keras import (
    engines,
    files,
    image_files,
    images,
    models,
    tiles,
    video,
    weights,
)
from sr_keras.checks import check_name, check_option, is_count
from sr_keras.tiles import NotFiniteError

__all__ = [
    "Networks",
    "NotFiniteError",
    "is_out_of_memory",
    "upscale",
    "upscale_files",
    "upscale_video",
]

# Image files that `mimetypes` does not know on every system.
_MORE_IMAGES = (".avif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jxl", ".exr")
# Raw files of cameras: Pillow would read the preview in them.
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
_SUFFIXES = {
    "png": ".png",
    "jpeg": ".jpg",
    "webp": ".webp",
    "tiff": ".tif",
    "gif": ".gif",
}
# Results for images of more pixels are written while they are computed.
_STREAM_ABOVE = 4_000_000
_STRIP = 512  # columns or rows that are resized at once, which bounds the memory


def upscale(
    model,
    image,
    tile="auto",
    self_ensemble=False,
    progress=None,
    halo=None,
    scale=None,
    size=None,
    tileable=False,
):
    """Upscales an image, or a batch of images, of any kind and to any size.

    The image is cut into tiles. Each is computed from a window that is larger by the
    receptive field of the network, so that the result equals that of the whole image
    (float32 sums depend on the size of the window, so that one 8-bit value in 100,000
    may be rounded the other way). Memory is bounded by one window and the result.

    A grey image is given to an RGB network as three equal channels, and the mean of
    the three results is taken, which has the smallest error. Of an RGB image, a
    one-channel network gets the luma, as in `models.on_luma`. Alpha is upscaled by
    bicubic interpolation. Before that, visible colours are continued into transparent
    regions, so that the hidden colours there leave no fringe.

    `scale` or `size` ask for a size that is not the network's. The result of the
    network is then made smaller by antialiased bicubic interpolation.

    Args:
        model: What `models.load` takes (the name of shipped weights, a file, or the
            folder of a run); a `keras.Model` with one output; or any callable. Models
            and callables map float32 `(1, height, width, channels)` in [0, 1] to
            floats of an integer multiple of its height and width. The number of
            channels, 1 or 3, is read from `model.input_shape`; it is 3 without one.
            A list of models is applied one after another, so that x4 and x2 make x8,
            until the size that is asked for is reached. None means the best networks
            that are shipped for that size, x4 without one. The name of a network or
            of an interpolation means what fits the size.
        image: Array `(height, width)`, or `(height, width, channels)` with 1, 2 (grey
            and alpha), 3 or 4 (RGBA) channels; uint8, uint16, or float in [0, 1].
            Also a batch of images, `(batch, height, width, channels)`, or a Pillow
            image, which is turned upright if its EXIF data says so, and whose
            transparent colour becomes alpha.
        tile: Side of the tiles in pixels of `image`. None or 0 computes the whole
            image at once, which is faster but may need a lot of memory. "auto" is 256,
            or less for an `Engine` other than Keras and a network that looks far, so
            that most networks stay below 3 GiB.
        self_ensemble: Whether to take the mean over the eight flips and rotations
            of the image. This is better, and takes eight times as long.
        progress: None, or a function that is called as `progress(done, total)`
            after each tile.
        halo: How many pixels a window extends beyond its tile. None takes them from
            the receptive field of the network, which has to be measured if the model
            is a callable or has layers of your own, see `receptive_field`. An int
            is used as it is; for a callable that reduces images inside, pass a
            `ReceptiveField(halo, step)`.
        scale: None for the factor of the network, or the factor of the result, such
            as 2.5. Sides are rounded to whole pixels.
        size: None, or `(height, width)` of the result, instead of `scale`. One of
            them may be None, which keeps the proportions.
        tileable: Whether the image continues on its opposite side, as a texture that
            is repeated without seams. The result then does, too.

    Returns:
        An image of the kind that was given: an array with the same dtype, rank and
        channels, or a Pillow image. Floats are clipped to [0, 1].

    Raises:
        ValueError: If the image or `model` is of another kind, the image does not fit
            the network, the network returns integers, NaN or infinite values, or
            another argument is not as described. Also if `scale` and `size` are both
            given.

    Warns:
        UserWarning: If tiles cannot equal the whole image, because the network
            looks at all of it (as with global pooling) or further than 192 pixels.
            If the network returns values far outside [0, 1]. If the networks do not
            reach the size that was asked for, and bicubic interpolation does the rest.

    Reference:
        [Timofte et al., 2016](https://arxiv.org/abs/1511.02228) for the ensemble.
    """
    if not isinstance(model, Networks):
        model = Networks(model)
    _check_size(scale, size)
    options = {"tile": tile, "self_ensemble": self_ensemble, "halo": halo}
    options |= {"scale": scale, "size": size, "tileable": tileable}
    if isinstance(image, Image.Image):
        return _upscale_pillow(model, image, {**options, "progress": progress})
    image = np.asarray(image)
    if image.ndim == 4 and len(image):
        results = []
        for i, one in enumerate(image):
            report = _progress_of_part(progress, i, len(image))
            results.append(upscale(model, one, **options, progress=report))
        return np.stack(results)

    tiles.check_image(image)
    if model.is_open and size is None:
        scale = scale or 4
    target = _target_size(image.shape, scale, size)
    factor = None if target is None else max(np.divide(target, image.shape[:2]))
    networks = model.for_factor(factor)
    result = image
    for i, network in enumerate(networks):
        report = _progress_of_part(progress, i, len(networks))
        result = tiles.enlarge(
            network, result, tile, self_ensemble, report, halo, tileable
        )
        if target is not None and np.all(np.greater_equal(result.shape[:2], target)):
            break
    if target is None or result.shape[:2] == target:
        return result
    if np.any(np.less(result.shape[:2], target)):
        height, width = result.shape[:2]
        warnings.warn(
            f"The networks reach {width}x{height} pixels; bicubic interpolation"
            f" enlarges the result to the requested {target[1]}x{target[0]} without"
            " adding detail. Add another network.",
            stacklevel=2,
        )
    return _resize(result, target, "wrap" if tileable else "replicate")


class Networks:
    """The networks for a size, each loaded once.

    `upscale` takes it as its model. The other functions of this module make one.

    Args:
        model: As for `upscale`.
        precision: A precision policy for networks that are loaded by their name.
        engine: Engine that runs them: one of `engines.ENGINES`, or "auto".
        detail: How much detail they may invent, see `models.load`.

    Raises:
        ValueError: If `model` is empty or of another kind, or an argument does not fit.
    """

    def __init__(self, model, precision="float32", engine="keras", detail=None):
        self._models = model if isinstance(model, (list, tuple)) else [model]
        if not self._models:
            raise ValueError(f"`model` must not be empty. Received: model={model!r}")
        for each in self._models:
            is_alone = each is None and len(self._models) == 1
            if not (is_alone or isinstance(each, (str, os.PathLike)) or callable(each)):
                raise ValueError(
                    "`model` must be a name, a path, a `keras.Model`, a callable, a"
                    f" list of these, or None. Received: model={model!r}"
                )
        check_name("an engine", engine, ["auto", *engines.ENGINES])
        if engine != "keras" and precision != "float32":
            raise ValueError(
                f"The engine {engine} computes in float32. Received:"
                f" precision={precision!r}"
            )
        self.is_open = self._models == [None]  # the size decides
        self._precision = precision
        self._engine = engine
        self._detail = detail
        self._loaded = {}

    def for_factor(self, factor):
        """Returns the networks to apply one after another.

        Args:
            factor: Factor of the result, or None for that of the network.
        """
        (first, *others) = self._models
        is_name = isinstance(first, str) and not others
        if self.is_open:
            sources = [(name, None) for name in weights.reaching(factor or 4)]
        elif factor and is_name and first in models.INTERPOLATIONS:
            sources = [(first, max(math.ceil(factor - 1e-9), 1))]
        elif factor and is_name and first in models.NETWORKS:
            sources = [(name, None) for name in weights.reaching(factor, first)]
        else:
            sources = [(source, None) for source in self._models]
        return [self._load(*source) for source in sources]

    def _load(self, source, scale):
        if not isinstance(source, (str, os.PathLike)):
            return source
        if (source, scale) not in self._loaded:
            network = models.load(source, scale, self._detail)
            if self._precision != "float32":
                from sr_keras.precision import with_precision

                network = with_precision(network, self._precision)
            if self._engine != "keras":
                network = engines.Engine(network, self._engine)
            self._loaded[source, scale] = network
        return self._loaded[source, scale]


def _check_size(scale, size):
    if scale is not None and size is not None:
        raise ValueError(
            "`scale` and `size` exclude each other. Received:"
            f" scale={scale!r}, size={size!r}"
        )
    is_number = isinstance(scale, (int, float, np.integer, np.floating))
    if scale is not None and not (
        is_number and not isinstance(scale, bool) and 0 < scale < math.inf
    ):
        raise ValueError(
            f"`scale` must be a positive number. Received: scale={scale!r}"
        )
    if size is not None:
        sides = [side for side in size if side is not None] if np.iterable(size) else []
        if not sides or len(size) != 2 or not all(map(is_count, sides)):
            raise ValueError(
                "`size` must be (height, width), two positive integers of which one"
                f" may be None. Received: size={size!r}"
            )


def _target_size(shape, scale, size):
    """Returns the height and width that are asked for, or None."""
    height, width = shape[:2]
    if scale is not None:
        size = height * scale, width * scale
    elif size is None:
        return None
    elif size[0] is None:
        size = height * size[1] / width, size[1]
    elif size[1] is None:
        size = size[0], width * size[0] / height
    return tuple(max(math.floor(side + 0.5), 1) for side in size)


def _resize(image, size, border):
    """Resizes like `images.resize`, in strips."""
    for axis in (0, 1):
        shape = list(image.shape)
        if shape[axis] == size[axis]:
            continue
        shape[axis] = size[axis]
        result = np.empty(shape, image.dtype)
        for start in range(0, shape[1 - axis], _STRIP):
            strip = slice(start, min(start + _STRIP, shape[1 - axis]))
            part = (slice(None), strip) if axis == 0 else strip
            pixels = image[part]
            one = list(pixels.shape[:2])
            one[axis] = size[axis]
            result[part] = images.resize(pixels, one, border=border)
        image = result
    return np.clip(image, 0.0, 1.0, out=image) if image.dtype.kind == "f" else image


def upscale_files(
    model,
    paths,
    out,
    tile="auto",
    self_ensemble=False,
    progress=None,
    skip_existing=False,
    halo=None,
    scale=None,
    size=None,
    tileable=False,
    format=None,
    quality=None,
    max_pixels=None,
    precision="float32",
    engine="keras",
    crf=16,
    detail=None,
):
    """Upscales image files, videos and all images in folders, one after the other.

    Images become PNG files, 16 bits deep where the image is. Animations (GIF, WebP,
    APNG) are upscaled frame by frame, and keep their format and their timing; so do
    TIFF files of several pages. Results have the colour profile of their image, and
    its EXIF data as far as they still hold: the image is upright, its size is the new
    one, previews and the maker note are dropped. `upscale_video` describes videos.

    The PNG or TIFF file of an image of more than 4 megapixels is written while it is
    computed, row by row of tiles, so that the result need not fit into memory. This
    needs a single network, and no `scale` or `size`.

    Results have the names of the images: `cat.jpg` becomes `cat.png`, and a `cat.webp`
    after it `cat.webp.png`. If one file fails, the others are still upscaled. No image
    that was given is overwritten, and no other file in a folder of such images.

    Args:
        model: As for `upscale`.
        paths: Paths of image files, of videos and of folders. Of a folder, the images
            directly in it are taken; subfolders, videos and other files are ignored.
        out: Folder for the results. It is created, and checked to be writable before
            anything is computed.
        tile: As for `upscale`.
        self_ensemble: As for `upscale`.
        progress: None, or a function that is called as
            `progress(path, done, total)` after each tile.
        skip_existing: Whether images whose result exists are not computed again.
        halo: As for `upscale`.
        scale: As for `upscale`.
        size: As for `upscale`.
        tileable: As for `upscale`.
        format: None, as described, or the format of all images: "png", "jpeg", "webp",
            "tiff" or "gif". 16-bit images get 8 bits in JPEG, WebP and GIF files.
        quality: As for `images.write`.
        max_pixels: As for `images.read`.
        precision: A precision policy for networks that are loaded by their name.
        engine: Engine that runs networks that are loaded by their name: one of
            `engines.ENGINES`, or "auto", see `engines.Engine`.
        crf: As for `upscale_video`.
        detail: How much detail networks that are loaded by their name may invent, from
            0 to 1, see `models.load`.

    Returns:
        An iterator that yields `(path, target, error)` for each image: the path of
        its result and None, or None and the exception. Folders without images are
        among the errors.

    Raises:
        OSError: If `out` cannot be written to.
        ValueError: If an argument is not as described.
    """
    _check_size(scale, size)
    image_files.check_quality(quality)
    video.check_crf(crf)
    if format is not None:
        check_option("format", format, _SUFFIXES)
    files.check_writable(out)
    networks = model
    if not isinstance(model, Networks):
        networks = Networks(model, precision, engine, detail)
    # A wrong name is an error before the first file. Without names, the size decides.
    if not networks.is_open or size is None:
        networks.for_factor(scale if size is None else 1)
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    found, errors = _find_images(paths)
    options = {"tile": tile, "self_ensemble": self_ensemble, "halo": halo}
    options |= {"scale": scale, "size": size, "tileable": tileable}
    job = _Job(networks, options, format, quality, max_pixels, crf)
    results = _upscale_each(job, found, pathlib.Path(out), progress, skip_existing)
    return itertools.chain(errors, results)


def upscale_video(
    model,
    source,
    target,
    tile="auto",
    self_ensemble=False,
    progress=None,
    halo=None,
    scale=None,
    size=None,
    crf=16,
):
    """Upscales a video, frame by frame, with one frame at a time in memory.

    Every frame is shown when it was in the source, also at a variable frame rate, and
    audio and subtitles are copied. Videos that are stored rotated come out upright.
    The result is H.264 video with the colour space of the source, of 10 bits if the
    source has more than 8. Where H.264 needs an even side, the last row or column is
    repeated. Frames that are done are kept in a folder `.NAME.parts` beside the
    result; if the work is interrupted, the same call continues there. Needs the
    package PyAV: `pip install av`.

    Args:
        model: As for `upscale`.
        source: Path of a video.
        target: Path of the result: .mp4, .m4v, .mov or .mkv, which takes every
            kind of audio.
        tile: As for `upscale`.
        self_ensemble: As for `upscale`.
        progress: None, or a function that is called as `progress(done, total)` after
            each frame. The total is an estimate for some videos.
        halo: As for `upscale`.
        scale: As for `upscale`.
        size: As for `upscale`.
        crf: Quality of the video, from 0 (lossless) to 51 (worst).

    Returns:
        The number of frames.

    Raises:
        ImportError: If PyAV is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a readable video, or has no video frames.
    """
    networks = model if isinstance(model, Networks) else Networks(model)
    _check_size(scale, size)
    options = {"tile": tile, "self_ensemble": self_ensemble, "halo": halo}
    options |= {"scale": scale, "size": size}

    def enlarge(frame):
        return upscale(networks, frame, **options)

    def describe(shape):
        target = _target_size(shape, scale, size)
        factor = None if target is None else max(np.divide(target, shape[:2]))
        digests = [_digest(network) for network in networks.for_factor(factor)]
        return None if None in digests else [*digests, repr(options)]

    return video.convert(source, target, enlarge, describe, progress, crf)


def _digest(network):
    """Returns a string that changes with what a network computes, or None."""
    engine, model, path = "keras", network, None
    if isinstance(network, engines.Engine):
        engine, model, path = network.engine, network.network, network.path
    try:
        # The name of a file has the digest of the network and that of the photos with
        # which it was calibrated.
        return f"{engine} {path.name if path else engines.digest(model)}"
    except Exception:  # whatever the model's own code raises if it has no graph
        return None


def is_out_of_memory(error):
    """Returns True if an exception of NumPy or a backend means out of memory."""
    names = {"ResourceExhaustedError", "OutOfMemoryError"}  # TensorFlow's, PyTorch's
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in names
        or "RESOURCE_EXHAUSTED" in str(error)  # JAX has no class for it
    )


def _find_images(paths):
    """Returns the images in paths, and `(path, None, error)` for what is left out."""
    found, errors = [], []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        names = [
            file
            for file in sorted(path.iterdir())
            if file.is_file() and not file.name.startswith(".") and _is_image(file)
        ]
        found += names
        if not names:
            errors.append((path, None, ValueError(f"There are no images in {path}")))
    return found, errors


def _is_image(path):
    kind, _ = mimetypes.guess_type(path.name)
    suffixes = (*images.SUFFIXES, *_MORE_IMAGES, *_RAW)
    is_image = (kind or "").startswith("image/") and kind != "image/svg+xml"
    return path.suffix.lower() in suffixes or is_image


class _Job:
    """How files are upscaled."""

    def __init__(self, networks, options, format, quality, max_pixels, crf):
        self.networks, self.options = networks, options
        self.format, self.quality, self.crf = format, quality, crf
        self.max_pixels = max_pixels

    def suffix(self, path):
        """Returns the suffix of the result; raises if the file cannot be opened."""
        if video.is_video(path):
            return video.target_suffix(path)
        if path.suffix.lower() in _RAW:
            raise ValueError(
                f"{path} is a raw file of a camera, in which only the preview could be"
                " read. Develop it into a TIFF or PNG file first."
            )
        with image_files.ImageFile(path, self.max_pixels) as file:
            if len(file) == 1:
                return _SUFFIXES[self.format or "png"]
            kept = {"PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tiff"}
            format = self.format or kept.get(file.format, "webp")
            possible = ("png", "webp", "gif") if file.is_animation else ("tiff",)
            if format not in possible:
                kind = "frames" if file.is_animation else "pages"
                raise ValueError(
                    f"{path} has {len(file)} {kind}, which only files of the format"
                    f" {' or '.join(possible)} can have. Received: format={format!r}"
                )
            return _SUFFIXES[format]

    def upscale(self, path, target, progress):
        """Upscales one file."""
        if video.is_video(path):
            options = {k: v for k, v in self.options.items() if k != "tileable"}
            if self.options["tileable"]:
                raise ValueError(f"{path} is a video, which cannot be tileable.")
            upscale_video(
                self.networks, path, target, progress=progress, crf=self.crf, **options
            )
            return
        with image_files.ImageFile(path, self.max_pixels) as file:
            file.scan()
            try:
                if len(file) == 1 and self._upscale_in_strips(file, target, progress):
                    return
                frames = self._frames(file, target, progress)
                image_files.write(
                    target,
                    frames,
                    file.metadata,
                    self.quality,
                    file.durations,
                    file.loop,
                    len(file),
                )
            except OSError as error:
                if error.filename in (str(path), str(target)):
                    raise
                raise OSError(f"{target} cannot be written: {error}") from error

    def _upscale_in_strips(self, file, target, progress):
        """Upscales a large image without having the result in memory, if possible."""
        options, networks = dict(self.options), self.networks
        size = options.pop("scale"), options.pop("size")
        suffix = target.suffix
        if size != (None, None) or suffix not in image_files.STREAMED:
            return False
        networks = networks.for_factor(4 if networks.is_open else None)
        if len(networks) > 1 or file.num_pixels <= _STREAM_ABOVE:
            return False
        image = file.read()
        file.close()  # frees the decoder's copy
        strips = tiles.strips(networks[0], image, progress=progress, **options)
        first = next(strips)
        height = first.shape[1] // image.shape[1] * len(image)
        strips = itertools.chain([first], strips)
        image_files.write_strips(target, strips, height, file.metadata)
        return True

    def _result_size(self, shape):
        """Returns the height and width of a result, or None if they are not known."""
        scale, size = self.options["scale"], self.options["size"]
        if self.networks.is_open and size is None:
            scale = scale or 4
        if scale is None and size is None:
            try:
                networks = self.networks.for_factor(None)
                scale = math.prod(map(models.scale_of, networks))
            except ValueError:  # as for functions
                return None
        return _target_size(shape, scale, size)

    def _frames(self, file, target, progress):
        for i in range(len(file)):
            image = file.read(i)
            is_deep = image.dtype == np.uint16
            if is_deep and target.suffix in (".jpg", ".webp", ".gif"):
                image = images.to_integer(images.to_float(image))
            image_files.check_pixels(target, image)
            if size := self._result_size(image.shape):
                image_files.check_size(target, *size)
            report = _progress_of_part(progress, i, len(file))
            yield upscale(self.networks, image, progress=report, **self.options)


def _upscale_each(job, paths, out, progress, skip_existing):
    sources = {path.resolve() for path in paths}
    folders = {source.parent for source in sources}
    taken = set()
    for path in paths:
        target = None
        try:
            try:
                target = _target(path, out, job.suffix(path), taken)
            except BaseException:
                _target(path, out, ".png", taken)  # its name, for when it is repaired
                raise
            if target.resolve() in sources:
                raise ValueError(
                    f"The result of {path} would overwrite the image {target}."
                    " Choose another folder."
                )
            if target.exists() and skip_existing:
                yield path, target, None
                continue
            if target.exists() and target.parent.resolve() in folders:
                raise ValueError(
                    f"The result of {path} would overwrite {target}, in a folder of"
                    " images that were given. Choose another folder."
                )
            report = functools.partial(progress, path) if progress else None
            job.upscale(path, target, report)
        except Exception as error:
            if is_out_of_memory(error):
                tile = job.options["tile"]
                size = f"tiles of {tile} pixels" if tile else "the whole image at once"
                if tile == "auto":
                    size = "the tiles"
                error = MemoryError(f"{path}: no memory for {size}; smaller tiles help")
            elif not isinstance(error, (OSError, ValueError, ImportError)):
                raise
            yield path, None, error
        else:
            yield path, target, None


def _target(path, out, suffix, taken):
    """Returns the result file of an image, no two the same."""
    numbers = (f"{path.name}.{i}{suffix}" for i in itertools.count(2))
    names = itertools.chain([f"{path.stem}{suffix}", f"{path.name}{suffix}"], numbers)
    target = next(out / name for name in names if out / name not in taken)
    taken.add(target)
    return target


def _upscale_pillow(model, image, options):
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    has_alpha = image.has_transparency_data  # also of one transparent colour
    if image.mode == "I;16":
        if has_alpha:
            raise ValueError(
                "A Pillow `image` of the mode I;16 must not have a transparent colour,"
                " which no mode for the result could keep. Pass an array of grey and"
                " alpha. Received:"
                f" image.info['transparency']={image.info['transparency']}"
            )
    elif image.mode.startswith(("I", "F")):
        raise ValueError(
            "A Pillow `image` must have pixels of 8 bits, or the mode I;16."
            f" Received: image.mode={image.mode}"
        )
    else:
        if image.mode == "CMYK":
            profile = None  # of colours that the result does not have
        mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
        mode += "A" if has_alpha else ""
        image = image if image.mode == mode else image.convert(mode)
    result = Image.fromarray(upscale(model, np.asarray(image), **options))
    if profile:
        result.info["icc_profile"] = profile
    return result


def _progress_of_part(progress, index, count):
    if progress is None:
        return None
    return lambda done, total: progress(index * total + done, count * total)
