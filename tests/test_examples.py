import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import preloaded
import pytest

import sr_keras as sr

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_my_model_beats_bicubic_and_resumes(tmp_path, capsys):
    main = load("my_model").main
    main(120, tmp_path)
    printed = capsys.readouterr().out
    assert "bicubic      29.98 dB" in printed
    assert "3 border pixels cut" in printed
    photos = sr.datasets.samples(3, "validation")
    model = sr.models.load(tmp_path / "my_network.weights.h5")
    assert model.name == "my_network" and model.scale == 3
    score = sr.evaluate(model, photos)["mean"]["psnr_y"]
    assert score > 30.05
    assert f"my_network   {score:.2f} dB" in printed
    again = main(120, tmp_path)  # nothing is left to train
    np.testing.assert_allclose(
        again.get_weights()[0], model.get_weights()[0], atol=1e-3
    )


@pytest.mark.parametrize(
    "marker", ["not slow", pytest.param("slow", marks=pytest.mark.slow)]
)
def test_train_on_jax(marker, tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    env = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        # The same tiny networks are compiled again and again.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    checks = pathlib.Path(__file__).with_name("checks_on_jax.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", checks]
    result = subprocess.run(
        [*command, "-m", marker], env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout and "skipped" not in result.stdout


def test_train_on_jax_needs_jax(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    script = EXAMPLES / "train_on_jax.py"
    command = [*preloaded.python(), script, "demo", "--out", tmp_path]
    env = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 2 and "KERAS_BACKEND=jax" in result.stderr


def test_glyphs_are_all_different_and_their_posterior_is_exact():
    example = load("glyphs")
    hr, digits = example.glyphs()
    assert hr.shape == (1200, 32, 32, 1) and hr.max() == 1.0
    assert len(np.unique(hr.reshape(1200, -1), axis=0)) == 1200
    small = sr.degradations.Downscale(4)(hr)
    posterior = example.exact_posterior(small[::75], small, digits)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)
    assert (posterior.argmax(axis=1) == np.arange(1200)[::75] // 25 % 16).all()
    assert (example.nearest(hr[::7], hr) == np.arange(1200)[::7]).all()


@pytest.mark.slow
def test_glyphs_resumes_and_compares_with_the_posterior(tmp_path, capsys):
    main = load("glyphs").main
    options = {"channels": 1, "filters": 24}
    for method in ("diffusion", "vae", "l1"):
        first = main(method, 2, tmp_path, photos=2, draws=2)
        again = main(method, 2, tmp_path, photos=2, draws=2)  # nothing is left to train
        assert "from the exact: " in capsys.readouterr().out
        for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        if method != "vae":
            path = tmp_path / method / f"denoiser-x4-glyphs-{method}.weights.h5"
            assert sr.weights.history(path)["steps"] == 2
            sr.models.denoiser(4, **options, weights=path)
    options = {"filters": 32, "num_blocks": 2, "latent_channels": 4, "channels": 1}
    for builder, network in (
        (sr.models.vae_decoder, "vae"),
        (sr.models.vae_encoder, "vae_encoder"),
    ):
        path = tmp_path / "vae" / f"{network}-x4-glyphs-vae.weights.h5"
        builder(4, **options, weights=path)


def test_distill_stores_what_the_teacher_makes_and_resumes(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(22):  # 20 are held out
        photo = rng.integers(0, 256, (48, 40, 3), dtype="uint8")
        sr.images.write(tmp_path / f"photos/{i:02}.png", photo)
    distill = load("distill").main
    pairs = tmp_path / "pairs"

    def run(count):
        arguments = f"espcn-x2-bsds --data {tmp_path}/photos --out {pairs} --size 12"
        options = f"--count {count} --batch-size 2 --precision float32"
        monkeypatch.setattr(
            sys, "argv", ["distill.py", *arguments.split(), *options.split()]
        )
        distill()
        return [path.stat().st_mtime_ns for path in sorted(pairs.glob("HR/*.png"))]

    first = run(4)
    both = run(6)
    assert len(both) == 6 and both[:4] == first
    found = sr.datasets.folder(pairs / "HR", 2, pairs / "LR_bicubic/X2")
    teacher = sr.models.load("espcn-x2-bsds")
    lrs = []
    for lr, hr in found:
        # a batch may be rounded differently from a single image
        expected = np.int16(sr.upscale(teacher, lr, tile=None))
        np.testing.assert_allclose(hr, expected, atol=1)
        lrs.append(lr.tobytes())
    assert len(set(lrs)) == 6


def test_distill_takes_whole_photos_and_keeps_some_for_validation(
    tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (22, 24, 20, 3), dtype="uint8")
    for i, photo in enumerate(photos):
        sr.images.write(tmp_path / f"photos/{i:02}.png", photo)
    pairs = tmp_path / "pairs"
    arguments = ["espcn-x2-bsds", "--data", f"{tmp_path}/photos", "--out", str(pairs)]
    options = ["--whole", "--self-ensemble", "--precision", "float32"]
    monkeypatch.setattr(sys, "argv", ["distill.py", *arguments, *options])
    load("distill").main()

    found = sr.datasets.folder(pairs, 2)
    held_out = sr.datasets.folder(pairs / "validation", 2)
    assert len(found) == 2 and len(held_out) == 20
    kept = [held_out.hr(i).tobytes() for i in range(20)]
    rest = [photo for photo in photos if photo.tobytes() not in kept]
    assert len(rest) == 2
    for (lr, hr), photo in zip(found, rest, strict=True):
        np.testing.assert_array_equal(lr, sr.degradations.get("bicubic", 2)(photo))
        expected = sr.upscale("espcn-x2-bsds", lr, self_ensemble=True)
        np.testing.assert_array_equal(hr, expected)
