import hashlib
import json
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
    quality,
    upscale,
    weights,
)
from sr_keras.models import edsr, espcn, fsrcnn, srcnn
from sr_keras.training import RECIPES
from sr_keras.training.recipe import from_json

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


def test_a_file_has_the_weights_and_the_identity_of_the_network(tmp_path):
    path = tmp_path / "best.weights.h5"
    model = small()
    weights.save(model, path)
    assert weights.identity(path) == {"network": "espcn", "config": CONFIG}
    assert_equal_weights(small(weights=path), model)
    assert_equal_weights(small(weights=str(path)), model)
    assert os.listdir(tmp_path) == ["best.weights.h5"]


def test_a_file_of_another_configuration_is_refused_with_both(tmp_path):
    path = tmp_path / "best.weights.h5"
    weights.save(small(), path)
    stored = r"espcn\(scale=2, filters=\[4, 3\], .*bicubic_skip=False, channels=1\)"
    # of the same shapes, so that Keras would load it
    wanted = (
        r"espcn\(.*bicubic_skip=True, channels=1\)\. `sr_keras\.models\.load` builds"
    )
    message = rf"{stored}, which do not fit {wanted}"
    with pytest.raises(ValueError, match=rf"best\.weights\.h5 holds .* {message}"):
        small(bicubic_skip=True, weights=path)
    with pytest.raises(ValueError, match=rf"{stored}, which do not fit srcnn\(scale=2"):
        srcnn(2, weights=path)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_file_without_an_identity_is_loaded_if_it_fits(tmp_path):
    path = tmp_path / "plain.weights.h5"
    model = small()
    model.save_weights(path)
    assert weights.identity(path) is None
    assert_equal_weights(small(weights=path), model)
    message = r"plain\.weights\.h5 do not fit espcn\(scale=3, filters=\[4, 3\]"
    with pytest.raises(ValueError, match=message):
        espcn(3, filters=(4, 3), weights=path)


def test_an_unreadable_weights_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*missing\.weights"):
        small(weights=tmp_path / "missing.weights.h5")
    text = tmp_path / "text.weights.h5"
    text.write_text("Not weights.")
    with pytest.raises(ValueError, match=r"text\.weights\.h5 is not a readable weig"):
        small(weights=text)
    torn = tmp_path / "torn.weights.h5"
    weights.save(small(), torn)
    torn.write_bytes(torn.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"torn\.weights\.h5 is not a readable weig"):
        small(weights=torn)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of shipped sets: "b" and "a-1" for x2, "b" for x3, and FSRCNN's."""
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    models = {}
    for network, builder, scale, name in [
        ("srcnn", srcnn, 2, "b"),
        ("srcnn", srcnn, 2, "a-1"),
        ("srcnn", srcnn, 3, "b"),
        ("fsrcnn", fsrcnn, 2, "c"),
    ]:
        path = tmp_path / f"{network}-x{scale}-{name}.weights.h5"
        models[network, scale, name] = builder(scale)
        weights.save(models[network, scale, name], path)
    return models


def test_shipped_sets_are_found_by_name(shipped):
    assert weights.names("srcnn") == ["a-1", "b"]
    assert weights.names("srcnn", scale=3) == ["b"]
    assert weights.names("srcnn", scale=2, channels=3) == []
    assert weights.names("fsrcnn", scale=2) == ["c"]
    for name in ("a-1", "b"):
        assert_equal_weights(srcnn(2, weights=name), shipped["srcnn", 2, name])
    assert_equal_weights(srcnn(3, weights="b"), shipped["srcnn", 3, "b"])


def test_an_unknown_name_is_refused_with_those_that_fit(shipped):
    message = r"shipped set \(for this network: a-1, b\). Received: weights='best'"
    with pytest.raises(ValueError, match=message):
        srcnn(2, weights="best")
    with pytest.raises(
        ValueError, match=r"\(for this network: none\). Received: .*'b'"
    ):
        srcnn(4, weights="b")
    with pytest.raises(ValueError, match=r"path of a \.weights\.h5 .*'model\.h5'"):
        srcnn(2, weights="model.h5")
    with pytest.raises(ValueError, match=r"channels=1\), which do not fit srcnn\("):
        srcnn(2, channels=3, weights="b")


@pytest.mark.parametrize("broken", [(os, "replace"), (h5py, "File")])
def test_an_interrupted_save_leaves_the_old_file_and_no_temporary_one(
    tmp_path, monkeypatch, broken
):
    path = tmp_path / "best.weights.h5"
    weights.save(small(), path)
    former = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk is full")

    model = small()
    monkeypatch.setattr(*broken, fail)
    for target in (path, tmp_path / "new.weights.h5"):
        with pytest.raises(OSError, match="disk is full"):
            weights.save(model, target)
    assert os.listdir(tmp_path) == ["best.weights.h5"]
    assert path.read_bytes() == former


def test_a_path_with_another_ending_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"end in \.weights\.h5. Received: .*model\.h5"
    ):
        weights.save(small(), tmp_path / "model.h5")
    assert os.listdir(tmp_path) == []


def test_without_weights_the_network_is_initialized_at_random():
    keras.utils.set_random_seed(0)
    assert (small().weights[0] != small().weights[0]).numpy().any()


def test_every_shipped_file_is_what_its_name_says():
    for path in weights.FOLDER.glob("*.weights.h5"):
        network, scale, _ = path.name.split("-", 2)
        stored = weights.identity(path)
        assert stored["network"] == network
        assert f"x{stored['config']['scale']}" == scale


def test_every_shipped_encoder_belongs_to_a_shipped_decoder():
    paths = list(weights.ENCODERS.glob("*.weights.h5"))
    assert paths
    for path in paths:
        decoder = path.name.replace("vae_encoder", "vae").removesuffix(".weights.h5")
        *_, name = decoder.split("-", 2)
        config = weights.identity(path)["config"]
        encoder = models.vae_encoder(**config, weights=name)
        latent_channels = encoder.output_shape[0][-1]
        stored = weights.identity(weights.find(decoder))["config"]
        assert stored["latent_channels"] == latent_channels
        assert weights.history(path) == weights.history(weights.find(decoder))


def test_every_shipped_network_for_glyphs_has_a_card():
    cards = (weights.FOLDER / "README.md").read_text()
    paths = list(weights.GLYPHS.glob("*.weights.h5"))
    assert paths
    for path in paths:
        network, scale, name = path.name.removesuffix(".weights.h5").split("-", 2)
        stored = weights.identity(path)
        assert stored["network"] == network
        assert f"x{stored['config']['scale']}" == scale
        builder = models.vae_decoder if network == "vae" else getattr(models, network)
        model = builder(**stored["config"], weights=name)
        assert all(np.any(kernel) for kernel in model.get_weights() if kernel.ndim > 1)
        assert weights.history(path)["steps"] > 0
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"`{path.name}`" in cards and digest in cards, path.name
        assert path.name.removesuffix(".weights.h5") not in weights.all_names()


def test_every_shipped_file_names_its_recipe_and_has_a_card():
    cards = (weights.FOLDER / "README.md").read_text()
    paths = set(weights.FOLDER.glob("**/*.weights.h5"))
    for path in paths - set(weights.GLYPHS.iterdir()):
        history = weights.history(path)
        recipe = RECIPES[history["name"]]
        kept = from_json(history["recipe"])
        assert (kept.network, kept.scale) == (recipe.network, recipe.scale)
        assert (kept.options, kept.data) == (recipe.options, recipe.data)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"`{path.name}`" in cards and digest in cards, path.name
    assert sum(path.stat().st_size for path in paths) <= 60e6


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_best_set_is_never_that_of_a_gan(scale, monkeypatch):
    history = weights.history
    assert history(weights.find(weights.best(scale)))["recipe"]["kind"] != "gan"

    def with_better_gans(path):
        found = history(path)
        if found["recipe"]["kind"] == "gan":
            found["validation"]["psnr_y"] = 99.0
        return found

    before = weights.best(scale)
    monkeypatch.setattr(weights, "history", with_better_gans)
    assert weights.best(scale) == before


def test_the_best_set_of_a_network_was_trained_on_clean_images_if_there_is_one():
    # scores on damaged photos, and against a teacher, are not comparable with others
    assert weights.best(4) == "edsr-x4-bsds"
    assert weights.best(4, "rrdb") == "rrdb-x4-bsds-small"
    assert weights.best(4, "span") == "span-x4-photos"


@pytest.mark.parametrize("name", weights.all_names())
def test_every_shipped_network_is_half_a_decibel_better_than_its_input(name):
    # trained weights, so that a skip or an activation that is gone is noticed
    network = models.load(name)
    config = weights.identity(weights.find(name))["config"]
    assert network.output_shape[-1] == config["channels"]
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
    if name.endswith(("-distilled", "-photos-gan")):  # for damaged photos, and looks
        lr = degradations.get("bicubic", 4)(skimage.data.coffee()[:400, :600])
        lr = degradations.JPEG(35)(lr)
        plain = quality.niqe(upscale(models.bicubic(4), lr))
        assert quality.niqe(upscale(network, lr)) < plain - 1
    else:
        assert then > first + 0.5


def cells_of(path):
    """Returns the cells of the tables in a Markdown file by the name in the first."""
    rows = [line.split("|") for line in path.read_text().splitlines()]
    rows = [[cell.strip() for cell in row[1:-1]] for row in rows if len(row) > 2]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}


def test_cards_and_readme_say_what_was_measured_of_these_files():
    def score(found):
        return f"{found['psnr_y']:.2f} / {found['ssim_y']:.4f}" if found else ""

    root = pathlib.Path(__file__).parents[1]
    measured = json.loads((root / "benchmarks" / "quality.json").read_text())
    cards = cells_of(weights.FOLDER / "README.md")
    readme = cells_of(root / "README.md")
    for name in weights.all_names():
        entry, card = measured[name], cards[f"{name}.weights.h5"]
        digest = hashlib.sha256(weights.find(name).read_bytes()).hexdigest()
        assert entry["sha256"] == digest, name
        assert card[5:7] == [score(entry["scores"][s]) for s in ("Set5", "Set14")], name
    shown = [name for name in measured if name in readme]
    assert len(shown) > 20
    for name in shown:
        scores, eight = measured[name]["scores"], measured[name].get("eight", {})
        _, *found = readme[name]
        expected = [
            score(kind.get(s)) for s in ("Set5", "Set14") for kind in (scores, eight)
        ]
        assert found[:2] + found[3:5] == expected, name


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
    weights.save(model, full)
    weights.save(model, half, half=True)
    for before, after in zip(model.weights, small(weights=half).weights, strict=True):
        assert after.dtype == "float32"
        expected = np.array(before)
        if expected.ndim > 1:
            assert np.any(expected != expected.astype("float16"))
            expected = expected.astype("float16")
        np.testing.assert_array_equal(after, expected)
    assert sorted(os.listdir(tmp_path)) == ["full.weights.h5", "half.weights.h5"]


def test_a_file_is_hardly_larger_than_its_weights(tmp_path):
    model = models.stacked_hourglass(2, filters=4, depth=2)
    weights.save(model, tmp_path / "a.weights.h5")
    per_array = (tmp_path / "a.weights.h5").stat().st_size - 4 * model.count_params()
    assert per_array / len(model.weights) < 1000  # names and places in the file


@pytest.mark.parametrize("half", [False, True])
def test_a_file_holds_no_optimizer(half, tmp_path):
    model = small()
    model.compile("adam", "mse")
    lr = np.zeros((1, 4, 5, 1), "float32")
    model.fit(lr, model.predict(lr, verbose=0), verbose=0)
    path = tmp_path / "trained.weights.h5"
    weights.save(model, path, half=half)
    with h5py.File(path) as file:
        assert "optimizer" not in file
        num_values = []
        file.visititems(lambda _, x: num_values.append(getattr(x, "size", 0)))
    assert sum(num_values) == model.count_params()


def test_how_weights_were_made_is_kept_in_their_file(tmp_path):
    path = tmp_path / "a.weights.h5"
    weights.save(small(), path)
    assert weights.history(path) is None
    weights.save(small(), path, history={"seconds": 7})
    assert weights.history(path) == {"seconds": 7}
    assert_equal_weights(small(weights=path), models.load(path))  # it is ignored


def test_networks_are_loaded_by_the_full_name_of_a_set(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    model = small()
    weights.save(model, tmp_path / "espcn-x2-tiny.weights.h5")
    assert weights.all_names() == ["espcn-x2-tiny"]
    loaded = models.load("espcn-x2-tiny")
    assert_equal_weights(loaded, model)
    assert loaded.get_layer("features").filters == 4
    with pytest.raises(ValueError, match="'espcn-x3-tiny' .* mean 'espcn-x2-tiny'"):
        models.load("espcn-x3-tiny")
    with pytest.raises(FileNotFoundError, match="no weights file nowhere.weights.h5"):
        models.load("nowhere.weights.h5")
    model.save_weights(tmp_path / "plain.weights.h5")
    with pytest.raises(ValueError, match="plain.weights.h5 does not store"):
        models.load(tmp_path / "plain.weights.h5")


def test_a_file_of_an_unknown_network_is_named(tmp_path):
    @models.register(listed=False)
    def my_network(scale, name="my_network"):
        inputs = keras.Input((None, None, 3))
        return keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs), name=name)

    path = tmp_path / "mine.weights.h5"
    weights.save(my_network(1), path)
    with pytest.raises(ValueError, match="'my_network' is not the name of a network"):
        models.load(path)


def test_weights_come_from_a_keras_file_or_the_folder_of_a_run(tmp_path):
    model = small()
    model.save(tmp_path / "last.keras")
    assert_equal_weights(small(weights=tmp_path / "last.keras"), model)
    assert_equal_weights(small(weights=tmp_path), model)
    other = small()
    other.save(tmp_path / "best.keras")
    assert_equal_weights(small(weights=tmp_path), other)
    with pytest.raises(ValueError, match=r"best\.keras holds .*, which do not fit"):
        small(bicubic_skip=True, weights=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty is not the folder of a run"):
        small(weights=tmp_path / "empty")
    (tmp_path / "bad.keras").write_text("Not a model.")
    with pytest.raises(ValueError, match=r"bad\.keras is not a readable Keras model"):
        small(weights=tmp_path / "bad.keras")


def test_a_shipped_set_comes_before_a_folder_of_its_name(
    shipped, tmp_path, monkeypatch
):
    folders = tmp_path / "runs"
    for name in ("b", "srcnn-x2-b", "mine"):
        (folders / name).mkdir(parents=True)
    monkeypatch.chdir(folders)
    for name in ("b", "srcnn-x2-b"):
        assert_equal_weights(srcnn(2, weights=name), shipped["srcnn", 2, "b"])
    with pytest.raises(FileNotFoundError, match="mine is not the folder of a run"):
        srcnn(2, weights="mine")
    weights.save(small(), folders / "mine.weights.h5")
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(FileNotFoundError, match="mine is not the folder of a run"):
        weights.load(plain, folders / "mine")


def test_copy_matching_copies_the_layers_that_fit():
    source, target = (edsr(s, filters=4, num_blocks=2) for s in (2, 3))
    before = [w.numpy() for w in target.get_layer("upsampling_0").weights]
    copied = weights.copy_matching(source, target)
    assert {"head", "block_0_conv1", "block_1_conv2", "body", "tail"} <= set(copied)
    assert "upsampling_0" not in copied  # 4 * 4 channels there, 4 * 9 here
    after = target.get_layer("upsampling_0").weights
    for weight, old in zip(after, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    np.testing.assert_array_equal(
        target.get_layer("body").kernel, source.get_layer("body").kernel
    )
    with pytest.raises(ValueError, match="'srcnn' and 'edsr' have no layer in common"):
        weights.copy_matching(srcnn(2), target)


def test_a_file_belongs_to_the_defaults_of_arguments_that_were_added_later(tmp_path):
    path = weights.find("edsr-x4-bsds-small")
    stored = weights.identity(path)["config"]
    assert "mean_shift" not in stored
    model = models.edsr(**stored, weights=path)
    assert model.identity["config"] == {**stored, "mean_shift": False}
    assert "bsds-small" in weights.names("edsr", **model.identity["config"])
    weights.load(models.edsr(**stored), "bsds-small")
    message = "do not fit edsr.*mean_shift=True"
    with pytest.raises(ValueError, match=message):
        models.edsr(**stored, mean_shift=True, weights=path)
