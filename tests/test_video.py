import fractions

import keras
import numpy as np
import pytest

from sr_keras import models, video
from sr_keras.engines import Engine
from sr_keras.inference import upscale_files, upscale_video
from sr_keras.precision import with_precision

av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")

TENTH = fractions.Fraction(1, 10)


def pictures(count, height=30, width=42):
    """Grey gradients, each lighter than the one before."""
    x = np.linspace(0, 100, width)
    levels = np.linspace(30, 150, count)
    frames = levels[:, None, None, None] + x[:, None]
    return np.broadcast_to(frames, (count, height, width, 3)).astype(np.uint8)


def save(
    path, frames, times=None, sound=None, pix_fmt="yuv420p", codec="libx264", **to
):
    """Writes a video; `times` are in milliseconds, `sound` is in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if codec == "libx264":
            stream.options = {"crf": "4"}
        for name, value in to.items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if sound is not None:
            tone = container.add_stream("aac", rate=8000, layout="mono")
        for i, array in enumerate(frames):
            kind = "rgb48le" if array.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(array, format=kind)
            spaces = {"dst_colorspace": to.get("colorspace", 5)}
            frame = frame.reformat(
                format=pix_fmt, dst_color_range=to.get("color_range", 1), **spaces
            )
            if times is not None:
                frame.pts, frame.time_base = times[i], fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            for start in range(0, int(8000 * sound), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 9).astype("float32")
                frame = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
                frame.sample_rate, frame.pts = 8000, start
                container.mux(tone.encode(frame))
            container.mux(tone.encode())
    return path


def load(path):
    """Returns the times in seconds, the frames of a video, and its length."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        length = (container.duration or 0) / av.time_base
    times = [float(frame.pts * frame.time_base) for frame in frames]
    return times, frames, length


def packets_of_sound(path):
    with av.open(str(path)) as container:
        packets = container.demux(audio=0)
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.size]


def double(frame):
    return frame.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_frame_rate_is_kept(tmp_path, suffix):
    times = [0, 40, 80, 120, 520, 920, 960]
    source = save(tmp_path / f"a{suffix}", pictures(7), times)
    target = tmp_path / f"b{suffix}"
    assert video.convert(source, target, double) == 7
    seconds, frames, length = load(target)
    np.testing.assert_allclose(seconds, np.array(times) / 1000, atol=1e-3)
    assert 0.96 < length < 1.07
    for frame, expected in zip(frames, pictures(7), strict=True):
        np.testing.assert_allclose(
            frame.to_ndarray(format="rgb24"), double(expected), atol=5
        )
    assert [p.name for p in tmp_path.iterdir() if "parts" in p.name] == []


@pytest.mark.parametrize("target", ["b.mp4", "b.mkv"])
def test_sound_is_copied_and_stays_in_sync(tmp_path, target):
    source = save(tmp_path / "a.mp4", pictures(10), sound=1.0)
    video.convert(source, tmp_path / target, double)
    before, after = packets_of_sound(source), packets_of_sound(tmp_path / target)
    assert [data for _, data in after] == [data for _, data in before]
    starts = load(source)[0][0], load(tmp_path / target)[0][0]
    np.testing.assert_allclose(
        [time - starts[1] for time, _ in after],
        [time - starts[0] for time, _ in before],
        atol=2e-3,
    )


def turned(data, matrix):
    """Writes a display matrix into an MP4, as phones do."""
    at = data.index(b"tkhd") + 44
    values = [*matrix[:2], 0, *matrix[2:], 0, 0, 0, 1 << 14]
    numbers = (np.array(values) << 16).astype(">i4")
    return data[:at] + numbers.tobytes() + data[at + 36 :]


@pytest.mark.parametrize(
    "matrix, place",
    [
        ((1, 0, 0, 1), (0, 0)),
        ((0, 1, -1, 0), (0, -1)),  # a quarter clockwise
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, -1, 1, 0), (-1, 0)),
        ((-1, 0, 0, 1), (0, -1)),  # mirrored
    ],
)
def test_videos_come_out_upright(tmp_path, matrix, place):
    frames = np.full((3, 32, 48, 3), 40, np.uint8)
    frames[:, :8, :8] = 220
    path = save(tmp_path / "a.mp4", frames)
    path.write_bytes(turned(path.read_bytes(), matrix))
    video.convert(path, tmp_path / "b.mp4", double)
    (first, *_) = load(tmp_path / "b.mp4")[1]
    assert _has_no_rotation(first)
    array = first.to_ndarray(format="rgb24")
    assert array.shape == ((64, 96, 3) if matrix[0] else (96, 64, 3))
    corners = {(y, x): int(array[y, x].mean()) for y in (0, -1) for x in (0, -1)}
    assert max(corners, key=corners.get) == place
    assert sorted(corners.values())[-2] < 80


def _has_no_rotation(frame):
    return frame.rotation == 0


@pytest.mark.parametrize("space", [1, 5, 9])
def test_colours_keep_their_meaning(tmp_path, space):
    colors = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200]], np.uint8)
    frames = np.tile(colors.repeat(16, axis=0)[None, None], (2, 32, 1, 1))
    source = save(tmp_path / "a.mp4", frames, colorspace=space, color_range=1)
    seen = []

    def watch(frame):
        seen.append(frame[16, 8::16].astype(int))
        return double(frame)

    video.convert(source, tmp_path / "b.mp4", watch)
    np.testing.assert_allclose(seen[0], colors, atol=8)
    (result, *_) = load(tmp_path / "b.mp4")[1]
    assert int(result.colorspace) == space and int(result.color_range) == 1
    assert int(result.color_primaries) == {1: 1, 5: 5, 9: 9}[space]
    rgb = result.reformat(
        format="rgb24", src_colorspace=space, dst_colorspace=space
    ).to_ndarray()
    np.testing.assert_allclose(rgb[32, 16::32].astype(int), colors, atol=8)


def test_the_full_range_is_understood(tmp_path):
    source = save(tmp_path / "a.mp4", pictures(2), pix_fmt="yuvj420p", color_range=2)
    seen = []
    video.convert(source, tmp_path / "b.mp4", lambda x: [seen.append(x), x][1])
    np.testing.assert_allclose(seen[0].astype(int), pictures(2)[0], atol=4)
    result = load(tmp_path / "b.mp4")[1][0].to_ndarray(format="rgb24")
    np.testing.assert_allclose(result.astype(int), pictures(2)[0], atol=6)


def test_large_videos_without_colour_tags_have_the_range_that_players_assume(tmp_path):
    frames = np.full((1, 720, 96, 3), (200, 30, 30), np.uint8)
    source = save(tmp_path / "a.mkv", frames)
    video.convert(source, tmp_path / "b.mkv", lambda frame: frame)
    assert int(load(tmp_path / "b.mkv")[1][0].colorspace) == 1


def test_ten_bits_stay_ten_bits(tmp_path):
    frames = (pictures(3).astype(np.uint16) * 257) + 100
    source = save(tmp_path / "a.mp4", frames, pix_fmt="yuv420p10le")
    seen = []
    video.convert(source, tmp_path / "b.mp4", lambda x: [seen.append(x), x][1])
    assert seen[0].dtype == np.uint16
    np.testing.assert_allclose(seen[0].astype(int), frames[0], atol=3 * 257)
    assert load(tmp_path / "b.mp4")[1][0].format.name == "yuv420p10le"


def test_odd_sides_are_padded_to_even_ones(tmp_path):
    frames = pictures(2, 31, 43)
    source = save(tmp_path / "a.mkv", frames, pix_fmt="yuv444p", codec="ffv1")
    video.convert(source, tmp_path / "b.mkv", lambda frame: frame)
    result = load(tmp_path / "b.mkv")[1][1].to_ndarray(format="rgb24")
    expected = np.pad(frames[1], [(0, 1), (0, 1), (0, 0)], mode="edge")
    np.testing.assert_allclose(result.astype(int), expected, atol=6)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("stop")])
def test_interrupted_work_is_continued(tmp_path, monkeypatch, error):
    monkeypatch.setattr(video, "_PART", 4)
    source = save(tmp_path / "a.mp4", pictures(11))
    target, whole = tmp_path / "b.mp4", tmp_path / "whole.mp4"
    calls = []

    def run(stop_at, key="same"):
        def function(frame):
            if len(calls) == stop_at:
                raise error
            calls.append(frame.mean())
            return double(frame)

        return video.convert(source, target, function, lambda shape: [key, shape])

    with pytest.raises(type(error)):
        run(stop_at=9)
    assert not target.exists()
    calls.clear()
    with pytest.raises(type(error)):
        run(stop_at=1)  # 8 frames are there
    calls.clear()
    assert run(stop_at=None) == 11
    assert len(calls) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}
    video.convert(source, whole, double)
    for one, other in zip(load(target)[1], load(whole)[1], strict=True):
        assert one.pts * one.time_base == other.pts * other.time_base
        np.testing.assert_array_equal(one.to_ndarray(), other.to_ndarray())

    target.unlink()
    calls.clear()
    with pytest.raises(type(error)):
        run(stop_at=5)
    calls.clear()
    assert run(stop_at=None, key="another") == 11  # begins again
    assert len(calls) == 11


def test_files_that_are_not_videos_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video .*a\.mp4"):
        video.convert(tmp_path / "a.mp4", tmp_path / "b.mp4", double)
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(ValueError, match=r"a\.mp4 is not a readable video"):
        video.convert(tmp_path / "a.mp4", tmp_path / "b.mp4", double)
    source = save(tmp_path / "c.mp4", pictures(2))
    with pytest.raises(ValueError, match=r"must be one of \.mp4.*b\.gif"):
        video.convert(source, tmp_path / "b.gif", double)
    with pytest.raises(ValueError, match="would overwrite the video"):
        video.convert(source, source, double)
    with pytest.raises(ValueError, match="0 to 51. Received: crf=52"):
        video.convert(source, tmp_path / "b.mp4", double, crf=52)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "c.mp4"}


def test_a_video_that_ends_too_early_is_reported(tmp_path):
    source = save(tmp_path / "a.mkv", pictures(60))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match=r"a\.mkv has video frames for .*is damaged"):
        video.convert(source, tmp_path / "b.mkv", lambda frame: frame)


def test_sound_that_does_not_fit_is_refused_before_the_work(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv444p"
        tone = container.add_stream("pcm_u8", rate=8000, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.uint8), "u8", "mono")
        wave.sample_rate = 8000
        container.mux(tone.encode(wave))
    message = "cannot have the audio .* suffix .mkv"
    with pytest.raises(ValueError, match=message):
        video.convert(tmp_path / "a.mkv", tmp_path / "b.mp4", lambda x: 1 / 0)


def test_upscale_files_takes_videos(tmp_path):
    save(tmp_path / "a.mp4", pictures(3), sound=0.3)
    save(tmp_path / "b.avi", pictures(2), codec="ffv1", pix_fmt="yuv444p")
    steps = []
    results = upscale_files(
        models.nearest(2),
        [tmp_path / "a.mp4", tmp_path / "b.avi"],
        tmp_path / "out",
        progress=lambda path, done, total: steps.append((path.name, done, total)),
        scale=1.5,
    )
    assert [(target.name, error) for _, target, error in results] == [
        ("a.mp4", None),
        ("b.mkv", None),
    ]
    assert steps[:3] == [("a.mp4", i, 3) for i in (1, 2, 3)]
    _, frames, _ = load(tmp_path / "out/a.mp4")
    assert (frames[0].width, frames[0].height) == (64, 46)  # 63 x 45, made even
    assert len(packets_of_sound(tmp_path / "out/a.mp4")) > 0


def test_a_video_of_another_network_begins_again(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_PART", 2)
    source = save(tmp_path / "a.mp4", pictures(4))
    model = models.espcn(2, filters=(4, 4), channels=3)

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    def count():
        calls = []
        result = upscale_video(
            model, source, tmp_path / "b.mp4", progress=lambda *x: calls.append(x)
        )
        assert result == 4
        return len(calls)

    def shifted(model):
        other = keras.models.clone_model(model)
        other.set_weights([w + 0.01 for w in model.get_weights()])
        return other

    kept = []
    real = video._Parts.add

    def watch(self, *arguments):
        kept.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(video._Parts, "add", watch)
    changes = [
        (lambda model: model, 2),
        (lambda model: with_precision(model, "float32"), 2),
        (lambda model: with_precision(model, "mixed_bfloat16"), 4),
        (lambda model: Engine(model, "keras"), 2),
        (shifted, 4),
    ]
    for change, expected in changes:
        with pytest.raises(KeyboardInterrupt):
            upscale_video(model, source, tmp_path / "b.mp4", progress=stop)
        former, model = model, change(model)
        kept.clear()
        count()
        assert len(kept) == expected
        model = former
