import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
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


ON_JAX = """
import dataclasses
import importlib.util
import sys

import jax
import numpy as np

import sr_keras as sr
from sr_keras.training import recipes

path, out = sys.argv[1:]
spec = importlib.util.spec_from_file_location("train_on_jax", path)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

# patches: LR and HR show the same, flipped and turned alike, from all photos
rng = np.random.default_rng(0)
sizes = [(12, 20), (17, 9), (5, 30)]  # the last one is too small
hrs = [rng.integers(0, 256, (3 * h, 3 * w, 3), "uint8") for h, w in sizes]
pairs = [(hr[1::3, 1::3], hr) for hr in hrs]
photos = example.Photos(pairs, 8, 3)
lr, hr = photos.patches(photos.arrays, jax.random.key(0), 64)
assert lr.shape == (64, 8, 8, 3) and hr.shape == (64, 24, 24, 3)
np.testing.assert_array_equal(lr, hr[:, 1::3, 1::3])
windows = set()
for x, _ in pairs[:2]:
    for view in (x, x.transpose(1, 0, 2)):
        for view in (view, view[::-1], view[:, ::-1], view[::-1, ::-1]):
            for y in range(len(view) - 7):
                for z in range(view.shape[1] - 7):
                    windows.add(view[y : y + 8, z : z + 8].tobytes())
found = {np.rint(255 * np.asarray(x)).astype("uint8").tobytes() for x in lr}
assert found <= windows and len(found) > 50

# luma, as the pipeline makes it
photos = example.Photos(pairs, 8, 1)
luma, _ = photos.patches(photos.arrays, jax.random.key(0), 64)
np.testing.assert_allclose(luma, sr.images.luma(lr), atol=1e-6)

# a training that was stopped ends as one that was not
recipes.RECIPES["demo"] = dataclasses.replace(
    recipes.RECIPES["demo"], steps=7, warmup_steps=2, batch_size=2, lr_size=16, ema=0.9,
    precision="mixed_bfloat16", rounded=True,
)
example.CHUNK = 3
write_state = example._write_state


def write_and_stop(*state):
    write_state(*state)
    raise KeyboardInterrupt


sys.argv = [path, "demo", "--out", f"{out}/whole"]
example.main()
sys.argv = [path, "demo", "--out", f"{out}/stopped"]
example._write_state = write_and_stop
try:
    example.main()
except KeyboardInterrupt:
    example._write_state = write_state
sys.argv.append("--resume")
example.main()
"""


def test_a_training_on_jax_cuts_patches_and_resumes(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ON_JAX, EXAMPLES / "train_on_jax.py", tmp_path]
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "step 7 of 7" in result.stdout and "held-out photos: " in result.stdout
    assert "3 border pixels cut" in result.stdout

    whole, stopped = (
        sr.models.load(tmp_path / name / "final.weights.h5")
        for name in ("whole", "stopped")
    )
    for a, b in zip(whole.get_weights(), stopped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for weight in whole.get_layer("features").get_weights():  # as it was trained
        rounded = keras.ops.cast(keras.ops.cast(weight, "bfloat16"), "float32")
        np.testing.assert_array_equal(weight, rounded)
    path = tmp_path / "whole" / "final.weights.h5"
    training = sr.pretrained.training_of(path)
    assert training["recipe"]["steps"] == 7
    assert training["made_by"] == "examples/train_on_jax.py demo"
    assert training["device"] == "cpu"

    command = [sys.executable, EXAMPLES / "train_on_jax.py", "demo", "--out"]
    for options, message in (
        ([], "--resume, or another"),
        (["--resume"], "is one of another recipe"),  # the true demo
    ):
        command = [*command[:4], path.parent, *options]
        again = subprocess.run(command, env=env, capture_output=True, text=True)
        assert again.returncode == 2 and message in again.stderr
