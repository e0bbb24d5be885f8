"""Tests of examples/train_on_jax.py, which test_examples.py runs on JAX.

TensorFlow cannot be imported here, as on a machine that has Keras and JAX alone.
"""

import dataclasses
import importlib
import json
import pathlib
import shutil
import sys

sys.modules["tensorflow"] = None

import filelock  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import sr_keras as sr  # noqa: E402
from sr_keras.training import (  # noqa: E402
    DiffusionRecipe,
    GANRecipe,
    Recipe,
    VAERecipe,
)

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples"))
photos_on_jax, train_on_jax = map(
    importlib.import_module, ("photos_on_jax", "train_on_jax")
)

PLAIN = Recipe(
    network="espcn",
    scale=2,
    data="photos",
    num_validation=1,
    options={"channels": 3, "filters": (4, 4)},
    steps=5,
    batch_size=2,
    lr_patch_size=8,
    learning_rate=1e-2,
    precision="float32",
)
COMMON = {f.name: getattr(PLAIN, f.name) for f in dataclasses.fields(PLAIN)}
PYRAMID = PLAIN.replace(
    network="lapsrn",
    scale=4,
    options={"filters": 4, "num_convs": 1, "all_levels": True},
    loss="charbonnier",
    optimizer="soap",
    precision="mixed_bfloat16",
    ema_momentum=0.9,
)
GAN = GANRecipe(
    **{**COMMON, "network": "edsr", "options": {"filters": 4, "num_blocks": 1}},
    discriminator="patchgan",
    discriminator_options={"filters": 2, "num_layers": 1},
    losses=((1.0, "l1"),),
    adversarial_weight=0.1,
    discriminator_warmup_loss=1.4,
).replace(ema_momentum=0.9)
VAE = VAERecipe(
    **{
        **COMMON,
        "network": "vae",
        "options": {"filters": 4, "num_blocks": 1, "latent_channels": 2},
    },
    encoder_options={"filters": 4, "latent_channels": 2},
    annealing_steps=4,
)
DIFFUSION = DiffusionRecipe(
    **{
        **COMMON,
        "network": "denoiser",
        "options": {"filters": 8, "num_levels": 1},
        "loss": "l2",
    }
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def patches_of(photos, count=64):
    patches = jax.jit(photos.patches, static_argnums=2)
    lr, hr = patches(photos.arrays, jax.random.key(0), count)
    return np.asarray(lr), np.asarray(hr)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder beside a folder of four photos, in which the program runs."""
    for i in range(4):
        photo = noise(36, 40 + i, 3, seed=i) // 2 + 60
        sr.images.write(tmp_path / "photos" / f"{i}.png", photo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_on_jax, "FIRST_STEPS", 2)
    return tmp_path / "out"


def run(recipe, *options, monkeypatch):
    pathlib.Path("recipe.json").write_text(json.dumps(recipe.as_json()))
    monkeypatch.setattr(sys, "argv", ["", "recipe.json", *map(str, options)])
    train_on_jax.main()


def weights_in(folder):
    return sr.models.load(folder / "final.weights.h5").get_weights()


# Patches


def test_lr_and_hr_patches_show_the_same_in_all_views_of_all_photos():
    sizes = [(12, 20), (17, 9), (5, 30)]  # the last one is too small
    hrs = [noise(3 * height, 3 * width, 3) for height, width in sizes]
    lrs = [hr[1::3, 1::3] for hr in hrs]
    dataset = sr.datasets.arrays(hrs, lrs, scale=3)
    recipe = PLAIN.replace(scale=3, skip_bad=True)
    with pytest.warns(UserWarning, match="2: the LR image of 5x30 is smaller"):
        photos = photos_on_jax.Photos(dataset, recipe, 3)
    lr, hr = patches_of(photos)
    assert lr.shape == (64, 8, 8, 3) and hr.shape == (64, 24, 24, 3)
    np.testing.assert_array_equal(lr, hr[:, 1::3, 1::3])
    windows = set()
    for x in lrs[:2]:
        for turned in (x, x.transpose(1, 0, 2)):
            for flips in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                view = turned[:: flips[0], :: flips[1]]
                for y in range(len(view) - 7):
                    for z in range(view.shape[1] - 7):
                        windows.add(view[y : y + 8, z : z + 8].tobytes())
    found = {np.rint(255 * x).astype("uint8").tobytes() for x in lr}
    assert found <= windows and len(found) > 50

    luma, _ = patches_of(
        photos_on_jax.Photos(dataset.subset([0, 1]), recipe, channels=1)
    )
    np.testing.assert_allclose(luma, sr.images.luma(lr), atol=1e-6)
    with pytest.raises(ValueError, match="smaller than an LR patch. Received: lr_p"):
        photos_on_jax.Photos(dataset, PLAIN.replace(scale=3), 3)


def test_a_degradation_that_is_not_equivariant_is_applied_to_every_view():
    dataset = sr.datasets.arrays([noise(30, 40, 3)], scale=2, degradation="nearest")
    lr, hr = patches_of(photos_on_jax.Photos(dataset, PLAIN, 3))
    np.testing.assert_array_equal(lr, hr[:, 1::2, 1::2])


def test_a_random_degradation_differs_from_view_to_view():
    grey = np.full((24, 24, 1), 128, "uint8")
    dataset = sr.datasets.arrays([grey], scale=2, degradation="noise")
    photos = photos_on_jax.Photos(dataset, PLAIN, 3)
    assert photos.lr_starts.shape == (1, 8)
    lr, hr = patches_of(photos)
    assert lr.shape == (64, 8, 8, 3)
    np.testing.assert_allclose(hr, 128 / 255, rtol=1e-6)
    assert 0.1 < lr.std() < 0.13  # 30 / 255


def test_flat_patches_are_drawn_again():
    half = noise(40, 80, 3)
    half[:, :40] = 100
    flat = np.full((40, 40, 3), 7, "uint8")
    dataset = sr.datasets.arrays([half], scale=2)
    recipe = PLAIN.replace(min_contrast=0.25)
    _, hr = patches_of(photos_on_jax.Photos(dataset, recipe, 3))
    assert hr.std(axis=(1, 2)).mean(axis=-1).min() >= 0.25
    _, hr = patches_of(photos_on_jax.Photos(dataset, PLAIN, 3))
    assert hr.std(axis=(1, 2)).min() < 1e-5
    dataset = sr.datasets.arrays([flat], scale=2)
    _, hr = patches_of(photos_on_jax.Photos(dataset, recipe, 3))
    np.testing.assert_allclose(hr, 7 / 255, rtol=1e-6)


def test_every_output_is_compared_with_the_downscaled_photo():
    model = PYRAMID.build()
    hr = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    found = train_on_jax.targets_of(model, PYRAMID)(hr)
    assert found.keys() == model.output.keys()
    sizes = {x.shape[1]: np.asarray(x) for x in found.values()}
    assert sizes.keys() == {16, 32}
    np.testing.assert_array_equal(sizes[32], hr)
    half = sr.degradations.Downscale(2)(hr)
    np.testing.assert_allclose(sizes[16], half, atol=1e-5)


# Training


@pytest.mark.slow
def test_training_equals_fit_on_the_same_batches(tmp_path):
    dataset = sr.datasets.arrays([noise(40, 50, 3), noise(60, 30, 3)], scale=2)
    model, expected = PLAIN.build(), PLAIN.build()
    photos = photos_on_jax.Photos(dataset, PLAIN, 3)
    train_on_jax.train(model, photos, PLAIN, tmp_path)

    def batches():
        for step in range(PLAIN.steps):
            key = jax.random.fold_in(jax.random.key(PLAIN.seed), step)
            yield photos.patches(photos.arrays, key, PLAIN.batch_size)

    expected.fit(batches(), steps_per_epoch=PLAIN.steps, verbose=0)
    before = PLAIN.build().get_weights()
    for a, b, c in zip(
        model.get_weights(), expected.get_weights(), before, strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        assert np.abs(a - c).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [PYRAMID, GAN, VAE], ids=["pyramid", "gan", "vae"])
def test_an_interrupted_training_resumes(recipe, folder, monkeypatch, capsys):
    whole, stopped = folder / "whole", folder / "stopped"
    run(recipe, "--out", whole, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "step 2 of 5: " in printed and "step 5 of 5: " in printed
    assert " ms a step" in printed and "photos held out: " in printed

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_on_jax, "_report", interrupt)
        run(recipe, "--out", stopped, monkeypatch=monkeypatch)
    assert "stopped at step 2 of 5" in capsys.readouterr().out
    run(recipe, "--out", stopped, "--resume", monkeypatch=monkeypatch)
    first, second = (np.load(path / "state.npz") for path in (whole, stopped))
    arrays = [name for name in first if name.startswith("arr_")]  # optimizers', too
    for name in arrays:
        np.testing.assert_array_equal(first[name], second[name])
    one, other = (sr.models.load(path).get_weights() for path in (whole, stopped))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    history = sr.weights.history(stopped / "final.weights.h5")
    assert history["step"] == 5 and history["validation"]["psnr_y"] > 5
    assert history["recipe"] == recipe.as_json()
    assert (stopped / "final_encoder.weights.h5").exists() == (recipe.kind == "vae")


@pytest.mark.slow
def test_a_training_stops_in_time_with_weights(folder, monkeypatch, capsys):
    options = ("--out", folder, "--seconds", 0)
    run(PLAIN, *options, monkeypatch=monkeypatch)
    assert "stopped at step 2 of 5" in capsys.readouterr().out
    history = sr.weights.history(folder / "final.weights.h5")
    assert history["step"] == 2 and history["recipe"]["steps"] == 5
    run(PLAIN, *options, "--resume", "--set", "steps=4", monkeypatch=monkeypatch)
    assert "step 4 of 4: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_folder_is_a_model_and_resumes_without_naming_the_recipe(
    folder, monkeypatch, capsys
):
    run(PLAIN.replace(steps=2), "--out", folder, monkeypatch=monkeypatch)
    network = sr.models.load(folder)
    assert network.identity["network"] == "espcn" and network.scale == 2
    for a, b in zip(network.get_weights(), weights_in(folder), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)

    # an earlier version did not have all fields
    with np.load(folder / "state.npz") as state:
        arrays = dict(state)
    about = json.loads(str(arrays["about"]))
    del about["recipe"]["skip_bad"]
    np.savez(folder / "state.npz", **{**arrays, "about": json.dumps(about)})
    options = ["", "--out", folder, "--resume", "--set", "steps=3"]
    options += ["--set", "global_clipnorm=None"]
    monkeypatch.setattr(sys, "argv", list(map(str, options)))
    train_on_jax.main()
    assert "step 3 of 3: " in capsys.readouterr().out


def test_a_kind_that_cannot_be_trained_is_refused(folder, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(DIFFUSION, "--out", folder, monkeypatch=monkeypatch)
    assert "one of regression, gan, vae; `python -m" in capsys.readouterr().err


def test_two_processes_cannot_train_in_one_folder(folder, monkeypatch, capsys):
    folder.mkdir()
    with filelock.FileLock(folder / ".lock"), pytest.raises(SystemExit):
        run(PLAIN, "--out", folder, monkeypatch=monkeypatch)
    assert "Another process is training in" in capsys.readouterr().err


# Photos in one file


@pytest.mark.slow
@pytest.mark.parametrize("degradation", [None, "jpeg"])
def test_training_from_packed_photos_is_the_same(degradation, folder, monkeypatch):
    recipe = PLAIN.replace(degradation=degradation, steps=2)
    run(recipe, "--out", folder / "a", monkeypatch=monkeypatch)
    run(recipe, "--pack", "packed.npz", monkeypatch=monkeypatch)
    with np.load("packed.npz") as packed:
        stored = {packed[name].tobytes() for name in packed if "_hr_" in name}
    assert stored == {path.read_bytes() for path in pathlib.Path("photos").iterdir()}
    shutil.rmtree("photos")
    options = ("--photos", "packed.npz", "--out", folder / "b")
    run(recipe, *options, monkeypatch=monkeypatch)
    for a, b in zip(weights_in(folder / "a"), weights_in(folder / "b"), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = (
        sr.weights.history(folder / name / "final.weights.h5") for name in "ab"
    )
    assert first["validation"] == second["validation"]


def test_lr_files_are_packed_with_the_photos(folder):
    hr, lr = noise(20, 24, 3), noise(10, 12, 3)
    for name, image in (("HR", hr), ("LR", lr)):
        for i in range(2):
            sr.images.write(f"pairs/{name}/{i}.png", image)
    recipe = PLAIN.replace(data="pairs", num_validation=1)
    dataset, validation = train_on_jax.runs.open_datasets(recipe)
    photos_on_jax.pack("packed.npz", recipe, dataset, validation, 2**20)
    for found in photos_on_jax.unpack("packed.npz", recipe):
        np.testing.assert_array_equal(found[0][0], lr)
        np.testing.assert_array_equal(found[0][1], hr)


def test_a_pack_keeps_pixels_and_leaves_out_the_largest_photos(folder, capsys):
    photos = [noise(31, 33, 3), noise(31, 33, 1), noise(200, 200, 3)]
    dataset = sr.datasets.arrays(photos, scale=2, names=["a", "grey", "large"])
    recipe = PLAIN.replace(skip_bad=True)
    photos_on_jax.pack("all.npz", recipe, dataset, dataset.subset([0]), 10**6)
    assert "3 training photos, 1 to score on" in capsys.readouterr().out
    train_set, validation = photos_on_jax.unpack("all.npz", recipe)
    assert train_set.names == ["a", "grey", "large"] and validation.names == ["a"]
    for i in range(3):
        np.testing.assert_array_equal(train_set.hr(i), dataset.hr(i))
    photos_on_jax.pack("some.npz", recipe, dataset, None, 20_000)
    assert "photos left out, because of the limit of size: 1" in capsys.readouterr().out
    train_set, validation = photos_on_jax.unpack("some.npz", recipe)
    assert train_set.names == ["a", "grey"] and validation is None
    assert pathlib.Path("some.npz").stat().st_size < 20_000
    with pytest.raises(ValueError, match="fits into a file of 0.000954 MiB"):
        photos_on_jax.pack("none.npz", recipe, dataset, None, 1000)
    assert not pathlib.Path("none.npz").exists()


# Errors


@pytest.mark.slow
def test_errors_say_what_would_be_right(folder, monkeypatch, capsys):
    def message(recipe, *options):
        with pytest.raises(SystemExit) as error:
            run(recipe, *options, monkeypatch=monkeypatch)
        assert error.value.code == 2
        return capsys.readouterr().err

    short = PLAIN.replace(steps=1)
    assert "one of --out and --pack" in message(short)
    monkeypatch.setattr(sys, "argv", ["", "--out", str(folder)])
    with pytest.raises(SystemExit):
        train_on_jax.main()
    assert "a recipe is needed without --resume" in capsys.readouterr().err
    assert "nothing" not in message(short, "--out", folder, "--pack", "x.npz")
    assert "no training to resume" in message(short, "--out", folder, "--resume")
    assert "did you mean" in message(short, "--out", folder, "--set", "step=2").lower()
    run(short, "--out", folder, monkeypatch=monkeypatch)
    assert "Use --resume, or another folder" in message(short, "--out", folder)
    other = ("--out", folder, "--resume", "--set", "batch_size=3")
    assert "settings: batch_size was 2 and is 3" in message(short, *other)
    sr.images.write("photos/5.png", noise(40, 40, 3))
    assert "with other photos" in message(short, "--out", folder, "--resume")
    pathlib.Path("bad.npz").write_bytes(b"no zip file")
    options = ("--out", folder / "b", "--photos", "bad.npz")
    assert "bad.npz cannot be used as packed photos" in message(short, *options)


def test_a_loss_of_nan_ends_the_training(folder, monkeypatch, capsys):
    broken = PLAIN.replace(learning_rate=1e38, schedule="constant", optimizer="sgd")
    with pytest.raises(SystemExit) as error:
        run(broken, "--out", folder, monkeypatch=monkeypatch)
    assert error.value.code == 1
    assert "became NaN or infinite between the steps" in capsys.readouterr().err
    assert not (folder / "final.weights.h5").exists()
