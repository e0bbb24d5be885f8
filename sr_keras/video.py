"""Video files: frames through a function, everything else copied.

PyAV (`pip install av`) decodes and encodes.
"""

import contextlib
import fractions
import heapq
import io
import itertools
import json
import pathlib
import warnings

import numpy as np

from sr_keras import files
from sr_keras.checks import is_count

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts")
SUFFIXES += (".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob")
TARGETS = (".mp4", ".m4v", ".mov", ".mkv")

_PART = 100  # frames that an interruption loses at most
_UNKNOWN, _RGB, _BT709, _BT470BG, _SMPTE170M, _BT2020 = 2, 0, 1, 5, 6, 9
# By matrix: primaries and transfer characteristics that go with it (ITU-T H.273).
_TAGS = {_BT709: (1, 1), _BT470BG: (5, 6), _SMPTE170M: (6, 6), _BT2020: (9, 14)}
_LIMITED, _FULL = 1, 2


def is_video(path):
    """Returns True if the suffix of a path is that of a video."""
    return pathlib.Path(path).suffix.lower() in SUFFIXES


def target_suffix(path):
    """Returns the suffix of the result: that of the source if possible, or .mkv."""
    suffix = pathlib.Path(path).suffix.lower()
    return suffix if suffix in TARGETS else ".mkv"


def check_crf(crf):
    """Raises a ValueError if a quality is not an integer from 0 to 51."""
    if crf != 0 and not (is_count(crf) and crf <= 51):
        raise ValueError(
            f"`crf` must be an integer from 0 to 51. Received: crf={crf!r}"
        )


def convert(source, target, function, describe=None, progress=None, crf=16):
    """Writes a video whose frames are those of another, changed by a function.

    `inference.upscale_video` says what is kept.

    Args:
        source: Path of a video.
        target: Path of the result: .mp4, .m4v, .mov or .mkv.
        function: Gets the frames in their order as RGB arrays `(height, width, 3)`,
            uint8, or uint16 if the video has more than 8 bits, and returns such
            arrays, all of one size.
        describe: None, or a function that gets the shape of a frame and returns what
            the result depends on besides the source, as JSON can hold it. It is
            compared before work that was interrupted is continued. None means that
            work is never continued.
        progress: None, or a function that is called as `progress(done, total)`.
        crf: Quality, from 0 (lossless) to 51.

    Returns:
        The number of frames.

    Raises:
        ImportError: If PyAV is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a readable video, has no video frames, or has
            audio or subtitles that a file of the type of `target` cannot have.
    """
    source, target = pathlib.Path(source), pathlib.Path(target)
    check_crf(crf)
    try:
        import av
    except ImportError as error:
        raise ImportError("Videos need the package PyAV: pip install av") from error
    if not source.is_file():
        raise FileNotFoundError(f"There is no video {source}.")
    if target.suffix.lower() not in TARGETS:
        raise ValueError(
            f"The suffix of a video must be one of {', '.join(TARGETS)}."
            f" Received: {target}"
        )
    if target.exists() and target.samefile(source):
        raise ValueError(f"The result would overwrite the video {source}.")
    with _opened(av, source) as container:
        stream = _video_stream(source, container)
        _check_audio(av, source, container, target)
        total = stream.frames
        if not total and container.duration and stream.average_rate:
            total = round(container.duration / av.time_base * stream.average_rate)

        count, end = 0, None
        with _Parts(av, target, stream, crf) as parts:
            for frame in _frames(av, source, container, stream):
                if count == 0:
                    parts.resume(source, describe and describe(frame.array.shape))
                if count >= parts.done:
                    parts.add(frame, function(frame.array))
                count, end = count + 1, frame.pts + frame.duration
                if progress:
                    progress(count, max(total, count))
            if count == 0:
                raise ValueError(f"{source} has no video frames that can be decoded.")
            _warn_of_missing(av, source, container, end * stream.time_base)
            parts.finish()
            with files.replacing(target) as temporary:
                _assemble(av, source, parts.paths(), temporary, end)
            parts.remove()
    return count


def _warn_of_missing(av, source, container, seconds):
    start = (container.start_time or 0) / av.time_base
    length = (container.duration or 0) / av.time_base
    if float(seconds) - start < 0.9 * length - 1:
        warnings.warn(
            f"{source} has video frames for {float(seconds) - start:.1f} s of the"
            f" {length:.1f} s that it should have: it is damaged or incomplete.",
            stacklevel=4,
        )


@contextlib.contextmanager
def _opened(av, path):
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(f"{path} is not a readable video: {error}") from error
    with container:
        yield container


def _video_stream(path, container):
    """Returns the stream of video frames, which is not that of a cover."""
    cover = _disposition("attached_pic")
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise ValueError(f"{path} has no video frames.")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _disposition(name):
    from av.stream import Disposition

    return Disposition[name]


def _copied(container, target):
    """Returns the audio streams, and those of subtitles that the target can have."""
    streams = list(container.streams.audio)
    mp4 = {".mp4", ".m4v", ".mov"}
    is_mp4 = "mp4" in container.format.name
    if target.suffix.lower() not in mp4 or is_mp4:
        streams += container.streams.subtitles
    return streams


def _check_audio(av, source, container, target):
    """Raises an error before the work begins if the target cannot have the audio."""
    kind = {".mkv": "matroska", ".mov": "mov"}.get(target.suffix.lower(), "mp4")
    try:
        with av.open(io.BytesIO(), "w", format=kind) as trial:
            stream = trial.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            for each in _copied(container, target):
                trial.add_stream_from_template(each)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(
            f"{target} cannot have the audio or the subtitles of {source}: choose a"
            f" result with the suffix .mkv. ({error})"
        ) from error


class _Frame:
    """A decoded frame, upright."""

    def __init__(self, array, pts, duration, tags, aspect):
        self.array, self.pts, self.duration = array, pts, duration
        self.tags, self.aspect = tags, aspect


def _frames(av, path, container, stream):
    step = 1
    if stream.average_rate:
        step = max(round(1 / (stream.average_rate * stream.time_base)), 1)
    last, shape, warned = None, None, False
    try:
        for frame in container.decode(stream):
            pts = frame.pts
            if pts is None:
                pts = 0 if last is None else last + step
            if last is not None and pts <= last:
                pts = last + 1
            last = pts
            if getattr(frame, "interlaced_frame", False) and not warned:
                warned = True
                warnings.warn(
                    f"{path} is interlaced: its lines come from two different moments,"
                    " and upscaling keeps the comb artifacts. Deinterlace it first.",
                    stacklevel=4,
                )
            tags = _tags(frame)
            array = _to_rgb(frame, tags)
            aspect = stream.sample_aspect_ratio or fractions.Fraction(1)
            matrix = _display_matrix(frame)
            if matrix is not None:
                array, is_turned = _upright(array, matrix)
                aspect = 1 / aspect if is_turned else aspect
            shape = shape or array.shape
            if array.shape != shape:
                raise ValueError(
                    f"{path}: all frames must have the same size. Received:"
                    f" {shape[1]}x{shape[0]} and {array.shape[1]}x{array.shape[0]}"
                )
            yield _Frame(array, pts, frame.duration or step, tags, aspect)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} cannot be decoded: {error}") from error


def _tags(frame):
    """Returns matrix, primaries, transfer and range; guesses what is not stored."""
    matrix, primaries = int(frame.colorspace), int(frame.color_primaries)
    transfer, full = int(frame.color_trc), int(frame.color_range) == _FULL
    if frame.format.name.startswith("yuvj"):
        full = True
    if matrix == _RGB or frame.format.is_rgb:
        matrix = _RGB
    elif matrix not in _TAGS:
        # what players do with a video that does not say
        is_large = frame.height >= 720 or frame.width >= 1280
        is_pal = frame.height in (288, 576)
        matrix = _BT709 if is_large else _BT470BG if is_pal else _SMPTE170M
    usual = _TAGS.get(matrix, _TAGS[_BT709])
    primaries = primaries if primaries not in (0, _UNKNOWN) else usual[0]
    transfer = transfer if transfer not in (0, _UNKNOWN) else usual[1]
    return matrix, primaries, transfer, full


def _space(matrix):
    """Returns the number of swscale for a matrix of YCbCr."""
    return {_SMPTE170M: _BT470BG, _RGB: _BT709}.get(matrix, matrix)


def _to_rgb(frame, tags):
    is_deep = max(component.bits for component in frame.format.components) > 8
    rgb = frame.reformat(
        format="rgb48le" if is_deep else "rgb24",
        src_colorspace=_space(tags[0]),
        dst_colorspace=_space(tags[0]),
        src_color_range=_FULL if tags[3] or tags[0] == _RGB else _LIMITED,
        dst_color_range=_FULL,
        interpolation="BICUBIC",
    )
    return rgb.to_ndarray()


def _display_matrix(frame):
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def _upright(array, matrix):
    """Turns and flips as the matrix says: (x, y) is shown at (ax + cy, bx + dy)."""
    (a, b), (c, d) = np.sign(matrix[:2, :2].astype(np.int64))
    is_turned = a == 0
    if is_turned:
        array = np.swapaxes(array, 0, 1)
    if (c if is_turned else a) < 0:
        array = array[:, ::-1]
    if (b if is_turned else d) < 0:
        array = array[::-1]
    return np.ascontiguousarray(array), is_turned


class _Parts:
    """Finished pieces of the result, in a folder from which work is continued."""

    def __init__(self, av, target, stream, crf):
        self._av, self._crf = av, crf
        self._folder = target.with_name(f".{target.name}.parts")
        self._is_kept = True
        self._time_base = stream.time_base
        self._rate = stream.average_rate or stream.guessed_rate or 25
        self._stack, self._count = None, 0
        self.done = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._stack is not None:
            self._stack.close()
        if not self._is_kept:
            self.remove()

    def remove(self):
        files.remove(self._folder)
        self._is_kept = True

    def paths(self):
        return sorted(self._folder.glob("part-*.nut"))

    def resume(self, source, description):
        """Keeps the parts that an interrupted call with the same work has left."""
        stat = source.stat()
        key = [source.name, stat.st_size, stat.st_mtime_ns, self._crf, description]
        key = json.loads(json.dumps(key))  # tuples are lists there
        known = self._folder / "work.json"
        try:
            is_same = description is not None and files.read_json(known) == key
        except ValueError:
            is_same = False
        if not is_same:
            files.remove(self._folder)
            files.write_json(known, key)
        self._is_kept = description is not None
        self.done = sum(int(path.stem.split("-")[2]) for path in self.paths())

    def add(self, frame, array):
        if self._stack is None:
            self._open(frame, array)
        self._write(frame, array)
        self._count += 1
        if self._count == _PART:
            self.finish()

    def _open(self, frame, array):
        self._stack = contextlib.ExitStack()
        number = len(self.paths())
        # The name says how many frames it has, so it is given at the end.
        self._path = self._folder / f"part-{number:06d}"
        self._unfinished = self._folder / "unfinished.nut"
        container = self._av.open(str(self._unfinished), "w", format="nut")
        self._container = self._stack.enter_context(container)
        matrix, primaries, transfer, _ = frame.tags
        is_deep = array.dtype == np.uint16
        stream = container.add_stream("libx264", rate=self._rate)
        stream.height, stream.width = (n + n % 2 for n in array.shape[:2])
        stream.pix_fmt = "yuv420p10le" if is_deep else "yuv420p"
        # Without B-frames, parts follow each other without overlapping in time.
        stream.options = {"crf": str(self._crf), "bf": "0"}
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = frame.aspect
        context.colorspace = _BT709 if matrix == _RGB else matrix
        context.color_primaries, context.color_trc = primaries, transfer
        context.color_range = _LIMITED
        self._stream, self._shape = stream, array.shape

    def _write(self, frame, array):
        if array.shape != self._shape:
            raise ValueError(
                "All frames must be changed to the same size. Received:"
                f" {self._shape} and {array.shape}"
            )
        height, width = array.shape[:2]
        pad = [(0, height % 2), (0, width % 2), (0, 0)]
        array = np.pad(array, pad, mode="edge")
        kind = "rgb48le" if array.dtype == np.uint16 else "rgb24"
        result = self._av.VideoFrame.from_ndarray(array, format=kind)
        result = result.reformat(
            format=self._stream.pix_fmt,
            src_colorspace=_space(frame.tags[0]),
            dst_colorspace=_space(frame.tags[0]),
            src_color_range=_FULL,
            dst_color_range=_LIMITED,
            interpolation="BICUBIC",
        )
        result.pts, result.time_base = frame.pts, self._time_base
        for packet in self._stream.encode(result):
            self._container.mux(packet)

    def finish(self):
        """Gives the current part its name."""
        if self._stack is None:
            return
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._stack.close()
        self._stack = None
        self._unfinished.replace(f"{self._path}-{self._count}.nut")
        self.done, self._count = self.done + self._count, 0


def _assemble(av, source, parts, target, end):
    """Joins the parts, and copies the other streams of the source."""
    options = {"movflags": "faststart"} if target.suffix.lower() != ".mkv" else {}
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(av.open(str(source)))
        output = stack.enter_context(av.open(str(target), "w", options=options))
        frames = _video_stream(source, container)
        ignored = {"rotate", "encoder", "major_brand", "minor_version"}
        ignored |= {"compatible_brands"}
        output.metadata.update(
            {k: v for k, v in container.metadata.items() if k.lower() not in ignored}
        )
        with av.open(str(parts[0])) as first:
            stream = output.add_stream_from_template(first.streams.video[0])
        stream.time_base = frames.time_base
        copied = {}
        for each in _copied(container, target):
            copied[each] = output.add_stream_from_template(each)
            copied[each].metadata.update(each.metadata)
        packets = _joined(av, parts, stream, frames.time_base, end)
        others = _others(container, copied)
        for packet in heapq.merge(packets, others, key=_time):
            output.mux(packet)


def _time(packet):
    return packet.dts * packet.time_base


def _joined(av, parts, stream, time_base, end):
    """Yields the packets of all parts, each with its duration."""

    def packets():
        for path in parts:
            with av.open(str(path)) as part:
                for packet in part.demux(part.streams.video[0]):
                    if packet.pts is not None:
                        packet.dts = packet.pts  # there are no B-frames
                        yield packet

    for packet, after in itertools.pairwise(itertools.chain(packets(), [None])):
        pts = packet.pts * packet.time_base
        until = end * time_base if after is None else after.pts * after.time_base
        packet.duration = max(round((until - pts) / packet.time_base), 0)
        packet.stream = stream
        yield packet


def _others(container, copied):
    if not copied:
        return
    for packet in container.demux(*copied):
        if packet.dts is not None:  # the last one of each stream is empty
            packet.stream = copied[packet.stream]
            yield packet
