import hashlib
import os
import pathlib

import h5py
import keras
import numpy as np
import pytest
import skimage.data

from sr_keras import (
    datasets,
    degradations,
    evaluate,
    evaluation,
    models,
    pretrained,
    upscale,
)
from sr_keras.models import espcn, fsrcnn, srcnn
from sr_keras.training import recipes

CONFIG = {
    "scale": 2,
    "filters": [4, 3],
    "activation": "tanh",
    "bicubic_skip": False,
    "channels": 1,
}


def small(**kwargs):
    return espcn(2, filters=(4, 3), **kwargs)


def assert_equal_weights(model, other):
    for weight, other_weight in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, other_weight)


def test_weights_are_loaded_from_a_file_with_their_description(tmp_path):
    path = tmp_path / "best.weights.h5"
    model = small()
    pretrained.save(model, path, "espcn", CONFIG)
    assert pretrained.describe(path) == {"network": "espcn", "config": CONFIG}
    assert_equal_weights(small(weights=path), model)
    assert_equal_weights(small(weights=str(path)), model)
    assert os.listdir(tmp_path) == ["best.weights.h5"]


def test_a_file_of_another_configuration_is_refused_with_both(tmp_path):
    path = tmp_path / "best.weights.h5"
    pretrained.save(small(), path, "espcn", CONFIG)
    stored = r"espcn\(scale=2, filters=\[4, 3\], .*bicubic_skip=False, channels=1\)"
    # of the same shapes, so that Keras would load it
    wanted = r"espcn\(.*bicubic_skip=True, channels=1\)\. `models\.load` builds"
    message = rf"{stored}, which do not fit {wanted}"
    with pytest.raises(ValueError, match=rf"best\.weights\.h5 holds .* {message}"):
        small(bicubic_skip=True, weights=path)
    with pytest.raises(ValueError, match=rf"{stored}, which do not fit srcnn\(scale=2"):
        srcnn(2, weights=path)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_file_without_a_description_is_loaded_if_it_fits(tmp_path):
    path = tmp_path / "plain.weights.h5"
    model = small()
    model.save_weights(path)
    assert pretrained.describe(path) is None
    assert_equal_weights(small(weights=path), model)
    message = r"plain\.weights\.h5 do not fit espcn\(scale=3, filters=\[4, 3\]"
    with pytest.raises(ValueError, match=message):
        espcn(3, filters=(4, 3), weights=path)


def test_what_is_no_weight_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weight file .*missing\.weights"):
        small(weights=tmp_path / "missing.weights.h5")
    text = tmp_path / "text.weights.h5"
    text.write_text("Not weights.")
    with pytest.raises(ValueError, match=r"text\.weights\.h5 is not a weight file"):
        small(weights=text)
    torn = tmp_path / "torn.weights.h5"
    pretrained.save(small(), torn, "espcn", CONFIG)
    torn.write_bytes(torn.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"torn\.weights\.h5 is not a weight file"):
        small(weights=torn)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of shipped sets: "b" and "a-1" for x2, "b" for x3, and FSRCNN's."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    models = {}
    for network, builder, scale, name in [
        ("srcnn", srcnn, 2, "b"),
        ("srcnn", srcnn, 2, "a-1"),
        ("srcnn", srcnn, 3, "b"),
        ("fsrcnn", fsrcnn, 2, "c"),
    ]:
        config = {"kernel_sizes": [9, 5, 5], "filters": [64, 32]}
        config = {"scale": scale, **config, "channels": 1}
        path = tmp_path / f"{network}-x{scale}-{name}.weights.h5"
        models[network, scale, name] = builder(scale)
        pretrained.save(models[network, scale, name], path, network, config)
    return models


def test_shipped_sets_are_found_by_name(shipped):
    assert pretrained.names("srcnn") == ["a-1", "b"]
    assert pretrained.names("srcnn", scale=3) == ["b"]
    assert pretrained.names("srcnn", scale=2, channels=3) == []
    assert pretrained.names("fsrcnn", scale=2) == ["c"]
    for name in ("a-1", "b"):
        assert_equal_weights(srcnn(2, weights=name), shipped["srcnn", 2, name])
    assert_equal_weights(srcnn(3, weights="b"), shipped["srcnn", 3, "b"])


def test_an_unknown_name_is_refused_with_those_that_fit(shipped):
    message = r"name of a shipped set \(for this network: a-1, b\). Received: best"
    with pytest.raises(ValueError, match=message):
        srcnn(2, weights="best")
    with pytest.raises(ValueError, match=r"\(for this network: none\). Received: b"):
        srcnn(4, weights="b")
    with pytest.raises(ValueError, match=r"path of a \.weights\.h5 file.*: model\.h5"):
        srcnn(2, weights="model.h5")
    with pytest.raises(ValueError, match=r"channels=1\), which do not fit srcnn\("):
        srcnn(2, channels=3, weights="b")


@pytest.mark.parametrize("broken", [(os, "replace"), (h5py, "File")])
def test_an_interrupted_save_leaves_the_former_file_and_no_litter(
    tmp_path, monkeypatch, broken
):
    path = tmp_path / "best.weights.h5"
    pretrained.save(small(), path, "espcn", CONFIG)
    former = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk is full")

    model = small()
    monkeypatch.setattr(*broken, fail)
    for target in (path, tmp_path / "new.weights.h5"):
        with pytest.raises(OSError, match="disk is full"):
            pretrained.save(model, target, "espcn", CONFIG)
    assert os.listdir(tmp_path) == ["best.weights.h5"]
    assert path.read_bytes() == former


def test_a_path_with_another_ending_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"end in \.weights\.h5. Received: .*model\.h5"
    ):
        pretrained.save(small(), tmp_path / "model.h5", "espcn", CONFIG)
    assert os.listdir(tmp_path) == []


def test_no_weights_means_new_ones():
    keras.utils.set_random_seed(0)
    assert (small().weights[0] != small().weights[0]).numpy().any()


def test_every_shipped_file_is_what_its_name_says():
    for path in pretrained.FOLDER.glob("*.weights.h5"):
        network, scale, _ = path.name.split("-", 2)
        stored = pretrained.describe(path)
        assert stored["network"] == network
        assert f"x{stored['config']['scale']}" == scale
        assert models.load(path).output_shape[-1] == stored["config"]["channels"]


def test_every_shipped_encoder_belongs_to_a_shipped_decoder():
    paths = list(pretrained.ENCODERS.glob("*.weights.h5"))
    assert paths
    for path in paths:
        decoder = path.name.replace("vae_encoder", "vae").removesuffix(".weights.h5")
        *_, name = decoder.split("-", 2)
        config = pretrained.describe(path)["config"]
        encoder = models.vae_encoder(**config, weights=name)
        latent_channels = encoder.output_shape[0][-1]
        stored = pretrained.describe(pretrained.find(decoder))["config"]
        assert stored["latent_channels"] == latent_channels
        assert pretrained.training_of(path) == pretrained.training_of(
            pretrained.find(decoder)
        )


def test_every_shipped_file_was_made_by_a_recipe_and_has_a_card():
    made = [recipes.as_json(recipe) for recipe in recipes.RECIPES.values()]
    cards = (pretrained.FOLDER / "README.md").read_text()
    paths = list(pretrained.FOLDER.glob("**/*.weights.h5"))
    for path in paths:
        kept = pretrained.training_of(path)["recipe"]
        assert recipes.completed(kept) in made, path.name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"`{path.name}`" in cards and digest in cards, path.name
    assert sum(path.stat().st_size for path in paths) <= 40e6


@pytest.mark.parametrize("name", pretrained.all_names())
def test_every_shipped_network_is_ahead_of_what_came_by_half_a_decibel(name):
    # trained weights, so that a skip or an activation that is gone is noticed
    network = models.load(name)
    scale = models.scale_of(network)
    hr = skimage.data.coffee()[148:244, 248:344]
    if scale > 1:
        lr = degradations.Downscale(scale)(hr)
        before = upscale(models.bicubic(scale), lr)
    else:
        before = lr = degradations.get("crappify", scale)(hr, seed=1)
    first, then = (
        evaluation.score(hr, image, scale)["psnr_y"]
        for image in (before, upscale(network, lr))
    )
    if name.endswith("-bottleneck"):  # made to show what is lost
        assert then < first
    else:
        assert then > first + 0.5


@pytest.mark.parametrize("name", ["fsrcnn-x4-bsds", "lapsrn-x2-bsds-small"])
def test_the_readme_says_what_shipped_weights_score(data_dir, name):
    readme = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    (row,) = (line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
    _, _, _, set5, set5_eight, _, set14, *_ = row.split("|")
    network = models.load(name)
    for name_of_set, cell, self_ensemble in (
        ("Set5", set5, False),
        ("Set5", set5_eight, True),
        ("Set14", set14, False),
    ):
        if not cell.strip():  # of full size alone
            assert self_ensemble and name.endswith("-small")
            continue
        dataset = datasets.benchmark(name_of_set, models.scale_of(network))
        mean = evaluate(network, dataset, self_ensemble=self_ensemble)["mean"]
        psnr, ssim = (float(number) for number in cell.split("/"))
        assert mean["psnr_y"] == pytest.approx(psnr, abs=0.01)
        assert mean["ssim_y"] == pytest.approx(ssim, abs=2e-4)


def test_half_precision_rounds_kernels_alone_and_loads_into_float32(tmp_path):
    model = small()
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).random(weight.shape))
    full, half = tmp_path / "full.weights.h5", tmp_path / "half.weights.h5"
    pretrained.save(model, full, "espcn", CONFIG)
    pretrained.save(model, half, "espcn", CONFIG, half=True)
    for before, after in zip(model.weights, small(weights=half).weights, strict=True):
        assert after.dtype == "float32"
        expected = np.array(before)
        if expected.ndim > 1:
            assert np.any(expected != expected.astype("float16"))
            expected = expected.astype("float16")
        np.testing.assert_array_equal(after, expected)
    assert sorted(os.listdir(tmp_path)) == ["full.weights.h5", "half.weights.h5"]


@pytest.mark.parametrize("half", [False, True])
def test_a_file_holds_no_optimizer(half, tmp_path):
    model = small()
    model.compile("adam", "mse")
    lr = np.zeros((1, 4, 5, 1), "float32")
    model.fit(lr, model.predict(lr, verbose=0), verbose=0)
    path = tmp_path / "trained.weights.h5"
    pretrained.save(model, path, "espcn", CONFIG, half=half)
    with h5py.File(path) as file:
        assert "optimizer" not in file
        num_values = []
        file.visititems(lambda _, x: num_values.append(getattr(x, "size", 0)))
    assert sum(num_values) == model.count_params()


def test_a_builder_says_what_it_made():
    assert pretrained.description(small()) == {"network": "espcn", "config": CONFIG}
    with pytest.raises(ValueError, match="'plain' was not made by a builder"):
        pretrained.description(keras.Sequential(name="plain"))


def test_how_weights_were_made_is_kept_in_their_file(tmp_path):
    path = tmp_path / "a.weights.h5"
    pretrained.save(small(), path, "espcn", CONFIG)
    assert pretrained.training_of(path) is None
    pretrained.save(small(), path, "espcn", CONFIG, training={"seconds": 7})
    assert pretrained.training_of(path) == {"seconds": 7}
    assert_equal_weights(small(weights=path), models.load(path))  # it is ignored


def test_networks_are_loaded_by_the_full_name_of_a_set(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    model = small()
    pretrained.save(model, tmp_path / "espcn-x2-tiny.weights.h5", "espcn", CONFIG)
    assert pretrained.all_names() == ["espcn-x2-tiny"]
    loaded = models.load("espcn-x2-tiny")
    assert_equal_weights(loaded, model)
    assert loaded.get_layer("features").filters == 4
    with pytest.raises(ValueError, match="'espcn-x3-tiny'. There are: espcn-x2-tiny"):
        models.load("espcn-x3-tiny")
    with pytest.raises(FileNotFoundError, match="no weight file nowhere.weights.h5"):
        models.load("nowhere.weights.h5")
    model.save_weights(tmp_path / "plain.weights.h5")
    with pytest.raises(ValueError, match="plain.weights.h5 does not say"):
        models.load(tmp_path / "plain.weights.h5")


def test_a_file_for_something_else_than_a_network_is_named(tmp_path):
    path = tmp_path / "mine.weights.h5"
    pretrained.save(small(), path, "my_network", CONFIG)
    with pytest.raises(ValueError, match="is for my_network, which is none of the"):
        models.load(path)
