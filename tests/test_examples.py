import importlib.util
import pathlib

import numpy as np
import pytest

import sr_keras as sr

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_my_model_beats_bicubic(capsys):
    model = load("my_model").main(steps=120)
    printed = capsys.readouterr().out
    assert "bicubic      29.98 dB" in printed
    photos = sr.datasets.samples(3, "validation")
    assert sr.evaluate(model, photos)["mean"]["psnr_y"] > 30.05
    assert sr.upscale(model, photos[0][0], tile=64).shape == photos[0][1].shape


def test_a_video_keeps_its_frames_and_their_rate(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed: pip install av")
    import imageio.v3 as iio

    grey = np.linspace(60, 200, 5).astype("uint8")  # one level to a frame
    frames = np.tile(grey[:, None, None, None], (1, 30, 42, 3))
    source, target = tmp_path / "small.mp4", tmp_path / "large.mp4"
    with iio.imopen(source, "w", plugin="pyav") as file:
        file.init_video_stream("libx264", fps=12)
        for frame in frames:
            file.write_frame(frame)

    upscale_video = load("upscale_video").upscale_video
    assert upscale_video(sr.models.bicubic(3), source, target) == 5
    result = iio.imread(target, plugin="pyav")
    assert result.shape == (5, 90, 126, 3)
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), grey, atol=4)
    assert iio.immeta(target, plugin="pyav")["fps"] == 12
