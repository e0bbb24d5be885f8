"""Training by a recipe in a folder: what it leaves, and how it is resumed."""

import itertools
import shutil
import signal

import filelock
import keras
import numpy as np
import pytest
from test_recipe import TINY_DIFFUSION, TINY_GAN, TINY_PYRAMID, TINY_VAE

from sr_keras import datasets, degradations, images, models, weights
from sr_keras.training import RECIPES, Recipe, run, train
from sr_keras.training.recipe import ENCODER_FILE, WEIGHTS_FILE

TINY = Recipe(
    network="espcn",
    scale=2,
    data=("samples",),
    options={"filters": (4, 4), "channels": 3},
    lr_patch_size=8,
    batch_size=2,
    steps=2,
    precision="float32",
)


def noise(scale):
    pair = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return datasets.Pairs(["a", "b"], scale, lambda i: pair[..., :: -i or 1])


def test_named_sets_have_a_validation_split_of_their_own():
    train_set, validation = run.open_datasets(TINY)
    assert "astronaut" in train_set.names
    assert validation.names == ["chelsea", "motorcycle"]


def test_photos_are_held_out_of_folders(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    recipe = TINY.replace(data=("t91",), num_validation=5)
    train_set, validation = run.open_datasets(recipe)
    assert (len(train_set), len(validation)) == (86, 5)
    assert not set(train_set.names) & set(validation.names)
    train_set, validation = run.open_datasets(recipe.replace(num_validation=0))
    assert (len(train_set), validation) == (91, None)


def test_no_file_is_trained_on_twice_or_also_scored(tmp_path):
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    for path in (outer / "a.png", inner / "b.png", tmp_path / "pairs/HR/c.png"):
        images.write(path, np.zeros((40, 40, 3), np.uint8))
    for name in ("c", "cx2w1", "cx2w2"):
        images.write(tmp_path / f"pairs/LR/{name}.png", np.zeros((20, 20, 3), "uint8"))
    (tmp_path / "link").symlink_to(inner)
    common = r"Files in common: .*/outer/inner/b\.png$"
    for other in (inner, tmp_path / "link"):
        with pytest.raises(ValueError, match=f"`data` must name folders .*{common}"):
            run.open_datasets(TINY.replace(data=(outer, other)))
        with pytest.raises(ValueError, match=f"`validation` must not .*{common}"):
            run.open_datasets(TINY.replace(data=outer, validation=other))
    with pytest.raises(ValueError, match="with several LR files cannot be .*/HR/c.png"):
        run.open_datasets(TINY.replace(data=tmp_path / "pairs", num_validation=1))

    # photos to score on may lie beside the HR folder
    images.write(tmp_path / "pairs/validation/d.png", np.ones((40, 40, 3), np.uint8))
    recipe = TINY.replace(
        data=(tmp_path / "pairs",), validation=tmp_path / "pairs/validation"
    )
    train_set, validation = run.open_datasets(recipe)
    assert (train_set.names, validation.names) == (["c", "cx2w1", "cx2w2"], ["d"])


class Mine(degradations.Degradation):
    scale = 2

    def apply(self, image, rng):
        return image[::2, ::2]


def test_a_registered_degradation_is_used_for_several_folders(tmp_path):
    keras.saving.register_keras_serializable("test_run")(Mine)
    for path in (tmp_path / "a/1.png", tmp_path / "b/2.png"):
        images.write(path, np.full((40, 40, 3), 7, np.uint8))
    recipe = TINY.replace(
        data=(tmp_path / "a", tmp_path / "b"),
        degradation=degradations.serialize(Mine()),
        num_validation=1,
    )
    train_set, validation = run.open_datasets(recipe)
    assert train_set.names + validation.names == ["1", "2"]
    assert isinstance(train_set.degradation, Mine)


def test_photos_that_cannot_be_scored_are_found_before_training(tmp_path):
    for name, side in (("a", 40), ("b", 40), ("c", 14)):  # "b" is to be held out
        images.write(tmp_path / f"{name}.png", np.zeros((side, side, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    recipe = TINY.replace(data=tmp_path, num_validation=1)
    assert recipe.data == (str(tmp_path),)
    with pytest.raises(ValueError, match=r"b\.png"):
        run.open_datasets(recipe)
    recipe = recipe.replace(num_validation=2)  # "a" and "c"
    with pytest.raises(ValueError, match="c: an HR image of 14x14 .* 15x15 pixels"):
        run.open_datasets(recipe)
    with pytest.warns(UserWarning, match="Left out: c: an HR image of 14x14"):
        _, found = run.open_datasets(recipe.replace(skip_bad=True))
    assert found.names == ["a"]


@pytest.mark.parametrize(
    "recipe",
    [TINY, TINY_GAN, TINY_VAE, TINY_DIFFUSION, TINY_PYRAMID],
    ids=["network", "gan", "vae", "diffusion", "pyramid"],
)
def test_final_weights_are_those_of_the_last_network(recipe, tmp_path, monkeypatch):
    recipe = recipe.replace(lr_patch_size=16, batch_size=2, steps=2)
    photos = noise(recipe.scale)
    options = {"evaluate_every": 1, "dataset": photos, "validation": photos}
    clock = itertools.count(step=10)  # ten seconds from each look to the next
    monkeypatch.setattr(run.TrainingRun, "_elapsed", lambda _: next(clock))
    model, done = train(recipe, tmp_path, **options)
    assert done.step == 2
    path = tmp_path / WEIGHTS_FILE
    last = keras.models.load_model(tmp_path / "last.keras", compile=False)
    assert last.scale == recipe.scale
    lr = np.random.default_rng(1).random((1, 5, 7, last.input_shape[-1]), "float32")
    if recipe.kind == "diffusion":
        denoiser = models.denoiser(2, **recipe.options, weights=path)
        loaded = models.denoiser_upscaler(denoiser)
    else:
        loaded = models.load(path)
    np.testing.assert_allclose(loaded(lr), last(lr), atol=2e-3)  # of half precision
    if recipe.kind == "vae":
        file = tmp_path / ENCODER_FILE
        encoder = models.vae_encoder(2, **recipe.encoder_options, weights=file)
        hr = np.random.default_rng(2).random((1, 10, 14, 3), "float32")
        for a, b in zip(encoder([lr, hr]), model.encoder([lr, hr]), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
    history = weights.history(path)
    assert history["recipe"] == recipe.as_json()
    assert history["seconds"] == round(done.log[-1]["seconds"])
    is_scored = recipe.kind not in ("gan", "diffusion")
    assert (tmp_path / "best.keras").is_file() == is_scored

    path.unlink()  # as if it had been killed before it wrote them
    again, done = train(recipe, tmp_path, resume=True, **options)
    assert done.step == 2
    assert weights.history(path) == history
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_returns_its_moving_average_again(tmp_path):
    recipe = TINY.replace(steps=3, ema_momentum=0.5, learning_rate=0.1)
    first, _ = train(recipe, tmp_path)
    again, _ = train(recipe, tmp_path, resume=True)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_is_resumed_with_nothing_but_its_folder(tmp_path):
    train(TINY, tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    _, done = train(None, tmp_path, resume=True)
    assert done.step == 2
    assert (tmp_path / WEIGHTS_FILE).is_file()
    with pytest.raises(FileNotFoundError, match=r"There is no run in .*missing"):
        train(None, tmp_path / "empty", resume=True)


def test_more_steps_and_another_rate_are_allowed_on_resuming(tmp_path):
    train(TINY, tmp_path)
    longer = TINY.replace(steps=4, learning_rate=1e-3, global_clipnorm=1.0)
    with pytest.warns(UserWarning, match="with steps 4 in place of 2. The schedule"):
        _, done = train(longer, tmp_path, resume=True)
    assert done.step == 4
    # of a cosine to 0 in four steps; the log has the rate of the next step
    assert done.log[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-9)
    assert run.read_recipe(tmp_path).steps == 4
    with pytest.raises(ValueError, match="batch_size was 2 and is 3. Start another"):
        train(longer.replace(batch_size=3), tmp_path, resume=True)


def test_a_finished_run_keeps_its_history(tmp_path):
    train(TINY, tmp_path)
    history = weights.history(tmp_path / WEIGHTS_FILE)
    other = TINY.replace(learning_rate=0.5)
    with pytest.raises(ValueError, match="done all 2 steps.* learning_rate was 0.0001"):
        train(other, tmp_path, resume=True)
    with pytest.raises(ValueError, match="at least as many. Received: steps=1"):
        train(TINY.replace(steps=1), tmp_path, resume=True)
    assert weights.history(tmp_path / WEIGHTS_FILE) == history
    train(TINY.replace(name="mine"), tmp_path, resume=True)
    assert weights.history(tmp_path / WEIGHTS_FILE)["name"] == "mine"


def test_a_stopped_run_can_be_ended_at_the_step_that_it_has_reached(tmp_path):
    photos = noise(2)
    options = {"dataset": photos, "validation": photos}

    def stop(self, logs, before):
        self._signal = signal.SIGINT
        original(self, logs, before)

    original = run.TrainingRun._evaluate_and_save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.TrainingRun, "_evaluate_and_save", stop)
        train(TINY, tmp_path, **options)
    ended = TINY.replace(steps=1)
    with pytest.warns(UserWarning, match="with steps 1 in place of 2"):
        _, done = train(ended, tmp_path, resume=True, **options)
    history = weights.history(tmp_path / WEIGHTS_FILE)
    assert history["recipe"]["steps"] == 1
    assert history["validation"]["psnr_y"] == done.log[-1]["psnr_y"]
    assert run.read_recipe(tmp_path) == ended


def test_photos_that_do_not_fit_the_recipe_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`validation` needs `dataset`"):
        train(TINY, tmp_path, validation=noise(2))
    with pytest.raises(ValueError, match="`dataset` must have .* of 2. .*scale=3"):
        train(TINY, tmp_path, dataset=noise(3))
    with pytest.raises(ValueError, match="`validation` must have .* of 2. .*scale=3"):
        train(TINY, tmp_path, dataset=noise(2), validation=noise(3))


def test_a_constant_rate_is_that_of_the_recipe_after_resuming(tmp_path):
    recipe = TINY.replace(schedule="constant", learning_rate=1e-3)
    train(recipe, tmp_path)
    slower = recipe.replace(steps=4, learning_rate=1e-5)
    with pytest.warns(UserWarning, match="learning_rate"):
        _, done = train(slower, tmp_path, resume=True)
    assert done.log[-1]["learning_rate"] == pytest.approx(1e-5)


def test_a_run_keeps_the_precision_that_auto_resolved_to(tmp_path, monkeypatch):
    recipe = TINY.replace(precision="auto")
    monkeypatch.setattr(
        "sr_keras.training.recipe.choose_precision",
        lambda name: "float32" if name == "auto" else name,
    )
    train(recipe, tmp_path)
    assert run.read_recipe(tmp_path).precision == "float32"
    monkeypatch.setattr(
        "sr_keras.training.recipe.choose_precision",
        lambda name: "mixed_bfloat16" if name == "auto" else name,
    )
    model, _ = train(recipe, tmp_path, resume=True)
    assert model.get_layer("features").compute_dtype == "float32"


def test_a_recipe_of_an_earlier_version_is_resumed(tmp_path):
    train(TINY_GAN.replace(**SHORT), tmp_path, dataset=noise(2))
    values = run.files.read_json(tmp_path / "recipe.json")
    for name in ("discriminator_learning_rate", "min_contrast", "seed"):
        del values[name]
    run.files.write_json(tmp_path / "recipe.json", values)
    train(TINY_GAN.replace(**SHORT), tmp_path, resume=True, dataset=noise(2))


SHORT = {"lr_patch_size": 16, "batch_size": 2, "steps": 1}


def test_several_steps_run_as_one_call(tmp_path):
    recipe = TINY.replace(steps=8)
    one, _ = train(recipe, tmp_path / "one", evaluate_every=4)
    several, done = train(
        recipe, tmp_path / "several", evaluate_every=4, steps_per_execution=2
    )
    assert [entry["step"] for entry in done.log] == [4, 8]
    for a, b in zip(one.get_weights(), several.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    with pytest.raises(ValueError, match="divide the number of steps, which is 8"):
        train(recipe, tmp_path / "none", steps_per_execution=3)


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    with filelock.FileLock(tmp_path / ".lock"):
        with pytest.raises(OSError, match="Another process is training in"):
            train(TINY, tmp_path)
    train(TINY, tmp_path)
    # the file stays, because another process may be about to lock it
    assert (tmp_path / ".lock").is_file()


def test_a_folder_that_cannot_be_written_is_found_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write to the folder .*file"):
        train(TINY, tmp_path / "file")


def test_no_recipe_trains_on_benchmark_photos(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    held = {
        photo.tobytes()
        for name in ("Set5", "Set14")
        for _, photo in datasets.benchmark(name, 1)
    }
    assert len(held) == 19
    names = {name for recipe in RECIPES.values() for name in recipe.data}
    # `examples/distill.py` makes these from the photos of the other recipes
    for name in names - {"realesrgan-pairs", "rlfn-pairs", "rlfn-pairs-more"}:
        dataset = datasets.open_data(name, 1)
        assert not any(dataset.hr(i).tobytes() in held for i in range(len(dataset)))


def test_a_run_is_not_resumed_with_other_photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        photo = rng.integers(0, 256, (40, 44, 3), dtype=np.uint8)
        images.write(tmp_path / "photos" / f"{name}.png", photo)
    recipe = TINY.replace(data=tmp_path / "photos", num_validation=1)
    train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "aa.png")
    with pytest.raises(
        ValueError, match="other photos. .* training, .* missing: a, aa"
    ):
        train(recipe, tmp_path / "run", resume=True)


def test_a_run_that_failed_before_its_first_save_blocks_no_folder(tmp_path):
    def fail(*args):
        raise MemoryError

    with pytest.raises(MemoryError):
        train(TINY, tmp_path, progress=fail, cache=tmp_path / "cache")
    (tmp_path / "recipe.json").write_text("{}")
    train(TINY, tmp_path)
    with pytest.raises(FileExistsError, match="There is a run in"):
        train(TINY, tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json is not a readable JSON file"):
        train(TINY, tmp_path, resume=True)
    shutil.rmtree(tmp_path / "state")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r"has best\.keras but no state"):
            train(TINY, tmp_path, resume=resume)
