import dataclasses
import itertools
import shutil

import keras
import numpy as np
import pytest

from sr_keras import datasets, evaluate, images, losses, models, pretrained
from sr_keras.models import edsr, lapsrn, srcnn
from sr_keras.training import RECIPES, SOAP, Recipe, recipes, train
from sr_keras.training.adversarial import RelativisticGAN
from sr_keras.training.recipes import AdversarialRecipe, VAERecipe

TINY = Recipe("espcn", 2, ("samples",), lr_size=8, steps=10, precision="float32")


def rates(schedule, warmup_steps=0):
    recipe = dataclasses.replace(
        TINY, schedule=schedule, learning_rate=1.0, warmup_steps=warmup_steps
    )
    optimizer = recipes.build(recipe).optimizer
    found = []
    for step in range(11):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_schedules():
    assert rates("constant") == [1.0] * 11
    cosine = [(1 + np.cos(np.pi * step / 10)) / 2 for step in range(11)]
    np.testing.assert_allclose(rates("cosine"), cosine, atol=1e-6)
    cosine = [(1 + np.cos(np.pi * step / 8)) / 2 for step in range(9)]
    np.testing.assert_allclose(rates("cosine", 2), [0, 0.5, *cosine], atol=1e-6)
    halving = [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, 0.03125]
    np.testing.assert_allclose(rates("halving"), halving)


def test_what_a_recipe_says_is_what_is_built():
    recipe = dataclasses.replace(
        TINY,
        options={"filters": [4, 4]},
        loss="charbonnier",
        clip_norm=0.5,
        ema=0.99,
        beta_2=0.98,
        precision="mixed_bfloat16",
    )
    model = recipes.build(recipe)
    assert model.get_layer("features").filters == 4
    assert model.get_layer("features").compute_dtype == "bfloat16"
    assert model.get_layer("subpixels").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert model.loss.name == "charbonnier"
    optimizer = model.optimizer
    assert (optimizer.global_clipnorm, optimizer.beta_2) == (0.5, 0.98)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.99)
    assert type(optimizer) is keras.optimizers.Adam
    optimizer = recipes.build(dataclasses.replace(recipe, optimizer="soap")).optimizer
    assert type(optimizer) is SOAP
    assert (optimizer.global_clipnorm, optimizer.beta_2) == (0.5, 0.98)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.99)


def test_a_recipe_kept_by_a_former_version_is_the_same():
    now = recipes.as_json(TINY)
    kept = {k: v for k, v in now.items() if k not in ("optimizer", "warmup_steps")}
    assert recipes.completed(kept) == recipes.completed(now) == now
    assert recipes.completed({**kept, "seed": 1}) != now
    gan = recipes.as_json(TINY_GAN)
    assert recipes.completed(gan) == gan


def test_float16_scales_the_loss():
    model = recipes.build(dataclasses.replace(TINY, precision="mixed_float16"))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_equal_seeds_give_equal_weights():
    first, second = recipes.build(TINY), recipes.build(TINY)
    other = recipes.build(dataclasses.replace(TINY, seed=1))
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])
    assert np.any(first.get_weights()[0] != other.get_weights()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "net"}, "There is no network 'net'. There are: srcnn"),
        ({"schedule": "up"}, "`schedule` must be one of constant, cosine, halving"),
        ({"optimizer": "sgd"}, "`optimizer` must be one of adam, soap. Received: sgd"),
        ({"warmup_steps": 10}, "must be from 0 to below the 10 steps. Received: 10"),
        (
            {"warmup_steps": 1, "schedule": "constant"},
            "`warmup_steps` are for the schedule cosine, not for constant",
        ),
        ({"options": {"depth": 1}}, "The options do not fit espcn: .*depth"),
        ({"precision": "int8"}, "`precision` must be auto, float32"),
        ({"loss": "l3"}, "l3"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        recipes.build(dataclasses.replace(TINY, **change))


def test_named_sets_have_a_validation_split_of_their_own():
    train, validation = recipes.open_datasets(TINY)
    assert "astronaut" in train.names
    assert validation.names == ["chelsea", "motorcycle"]


def test_photos_are_held_out_of_folders(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    recipe = dataclasses.replace(TINY, data=("t91",), hold_out=5)
    train, validation = recipes.open_datasets(recipe)
    assert (len(train), len(validation)) == (86, 5)
    assert not set(train.names) & set(validation.names)
    train, validation = recipes.open_datasets(dataclasses.replace(recipe, hold_out=0))
    assert (len(train), validation) == (91, None)


def test_data_is_named_once():
    with pytest.raises(ValueError, match="twice. Received: .'t91', 'b', 't91'.$"):
        dataclasses.replace(TINY, data=("t91", "b", "t91"))


def test_photos_that_cannot_be_scored_are_found_before_training(tmp_path):
    for name, side in (("a", 40), ("b", 40), ("c", 14)):  # "b" is to be held out
        images.write(tmp_path / f"{name}.png", np.zeros((side, side, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    recipe = dataclasses.replace(TINY, data=tmp_path, hold_out=1)
    assert recipe.data == (str(tmp_path),)
    with pytest.raises(ValueError, match="b.png"):
        recipes.open_datasets(recipe)
    recipe = dataclasses.replace(recipe, hold_out=2)  # "a" and "c"
    with pytest.raises(ValueError, match="c: an HR image of 14x14 .* 15 pixels"):
        recipes.open_datasets(recipe)
    with pytest.warns(UserWarning, match="Left out: c: an HR image of 14x14"):
        _, found = recipes.open_datasets(dataclasses.replace(recipe, skip_bad=True))
    assert found.names == ["a"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_built(name):
    model = recipes.build(RECIPES[name])
    assert recipes.upscaler(model).count_params() > 0


def flat(**fields):
    """A recipe that trains on flat noise for a moment."""
    make = fields.pop("make", Recipe)
    common = dict(scale=2, data=("samples",), lr_size=16, batch_size=2, steps=2)
    return make(**{**common, "precision": "float32", **fields})


TINY_GAN = flat(
    make=AdversarialRecipe,
    network="srresnet",
    options={"filters": 4, "num_blocks": 1},
    discriminator="patchgan",
    discriminator_options={"filters": 4, "num_layers": 1},
    terms=((1.0, "l1"), (0.5, losses.Charbonnier(0.01))),
    ema=0.9,
)
TINY_VAE = flat(
    make=VAERecipe,
    network="vae",
    options={"filters": 4, "num_blocks": 1, "latent_channels": 2},
    encoder_options={"filters": 4, "num_blocks": 1, "latent_channels": 2},
)
TINY_PYRAMID = flat(
    network="lapsrn",
    scale=4,
    lr_size=8,
    options={"filters": 4, "num_convs": 1, "all_levels": True},
    loss=losses.Charbonnier(),
)


@pytest.mark.parametrize("recipe", [TINY_GAN, TINY_VAE, TINY_PYRAMID])
def test_final_weights_are_those_of_the_last_network(recipe, tmp_path, monkeypatch):
    pair = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    photos = datasets.Pairs(["a", "b"], recipe.scale, lambda i: pair[..., :: -i or 1])
    monkeypatch.setattr(recipes, "open_datasets", lambda _: (photos, photos))
    clock = itertools.count(step=10)  # ten seconds from each look to the next
    monkeypatch.setattr(recipes.TrainingRun, "_elapsed", lambda _: next(clock))
    model, run = train(recipe, tmp_path, evaluate_every=1)
    assert run.step == 2
    path = tmp_path / recipes.WEIGHTS_FILE
    last = keras.models.load_model(tmp_path / "last.keras", compile=False)
    lr = np.random.default_rng(1).random((1, 5, 7, last.input_shape[-1]), "float32")
    loaded = models.load(path)
    assert loaded.output_shape[-1] == last.output_shape[-1]
    np.testing.assert_allclose(loaded(lr), last(lr), atol=2e-3)  # of half precision
    if recipe is TINY_VAE:
        file = tmp_path / recipes.ENCODER_FILE
        encoder = models.vae_encoder(2, **recipe.encoder_options, weights=file)
        hr = np.random.default_rng(2).random((1, 10, 14, 3), "float32")
        for a, b in zip(encoder([lr, hr]), model.encoder([lr, hr]), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
    made = pretrained.training_of(path)
    assert made["recipe"]["steps"] == 2
    assert made["seconds"] == round(run.log[-1]["seconds"])
    assert (tmp_path / "best.keras").is_file() == (recipe is not TINY_GAN)

    path.unlink()  # as if it had been killed before it wrote them
    again, run = train(recipe, tmp_path, evaluate_every=1, resume=True)
    assert run.step == 2
    assert pretrained.training_of(path) == made
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_gives_its_moving_average_again(tmp_path):
    recipe = dataclasses.replace(TINY, steps=3, batch_size=2, ema=0.5)
    options = {"filters": (4, 4), "channels": 3}
    recipe = dataclasses.replace(recipe, options=options, learning_rate=0.1)
    first, _ = train(recipe, tmp_path)
    again, _ = train(recipe, tmp_path, resume=True)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gan_has_terms_and_no_loss():
    with pytest.raises(ValueError, match="no `loss` but `terms`. Received: loss='l2'"):
        dataclasses.replace(TINY_GAN, loss="l2")


def test_what_an_adversarial_recipe_says_is_what_is_built():
    recipe = dataclasses.replace(
        TINY_GAN,
        relativistic=True,
        adversarial_weight=0.25,
        generator_waits_above=1.0,
        discriminator_waits_below=0.5,
        learning_rate=0.01,
        schedule="constant",
    )
    gan = recipes.build(recipe)
    assert type(gan) is RelativisticGAN
    assert [weight for weight, _ in gan.terms.values()] == [1.0, 0.5]
    assert gan.adversarial_weight == 0.25
    assert (gan.generator_waits_above, gan.discriminator_waits_below) == (1.0, 0.5)
    assert gan.discriminator.name == "patchgan"
    assert gan.generator_optimizer.use_ema and not gan.discriminator_optimizer.use_ema
    for optimizer, _ in gan.optimizers():
        assert float(optimizer.learning_rate) == pytest.approx(0.01)
    with pytest.raises(ValueError, match="There is no network 'judge'. There are: srg"):
        recipes.build(dataclasses.replace(recipe, discriminator="judge"))


def test_what_a_vae_recipe_says_is_what_is_built():
    recipe = dataclasses.replace(
        TINY_VAE, kl_weight=0.5, mean_weight=0.25, annealing_steps=3, seed=4, loss="l2"
    )
    vae = recipes.build(recipe)
    assert (vae.kl_weight, vae.mean_weight, vae.annealing_steps) == (0.5, 0.25, 3)
    assert (vae.seed, vae.compare.name) == (4, "l2")
    assert recipes.upscaler(vae) is vae.upscaler


def test_every_output_is_compared_with_the_photo_in_its_size():
    model = recipes.build(TINY_PYRAMID)
    hr = np.full((1, 32, 32, 1), 0.25, "float32")
    batches = recipes.training_batches  # what it makes is a `tf.data.Dataset`
    photo = np.full((64, 64, 3), 51, np.uint8)
    photos = datasets.Pairs(["a"], 4, lambda i: photo)
    batches = recipes._with_targets(batches(photos, 8, 1, channels=1), model)
    lr, targets = next(iter(batches))
    assert lr.shape == (1, 8, 8, 1)
    assert {name: tuple(x.shape) for name, x in targets.items()} == {
        "x2": (1, 16, 16, 1),
        "x4": hr.shape,
    }
    for target in targets.values():
        np.testing.assert_allclose(target, target[0, 0, 0, 0], atol=1e-5)


def test_transfer_takes_over_what_fits():
    source, target = (edsr(s, filters=4, num_blocks=2) for s in (2, 3))
    before = [w.numpy() for w in target.get_layer("upsampling_0").weights]
    copied = recipes.transfer(source, target)
    assert {"head", "block_0_conv1", "block_1_conv2", "body", "tail"} <= set(copied)
    assert "upsampling_0" not in copied  # 4 * 4 channels there, 4 * 9 here
    after = target.get_layer("upsampling_0").weights
    for weight, old in zip(after, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    np.testing.assert_array_equal(
        target.get_layer("body").kernel, source.get_layer("body").kernel
    )
    with pytest.raises(ValueError, match="'srcnn' and 'edsr' have no layer in common"):
        recipes.transfer(srcnn(2), target)


def test_a_recipe_starts_from_another_scale(tmp_path):
    source = lapsrn(2, filters=4, num_convs=1)
    path = tmp_path / "x2.weights.h5"
    pretrained.save(source, path, **pretrained.description(source))
    model = recipes.build(dataclasses.replace(TINY_PYRAMID, transfer=str(path)))
    first = source.layers[1] if source.layers[1].weights else source.layers[2]
    np.testing.assert_array_equal(
        first.get_weights()[0], model.get_layer(first.name).get_weights()[0]
    )


def test_no_recipe_trains_on_benchmark_photos(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    held = {
        photo.tobytes()
        for name in ("Set5", "Set14")
        for _, photo in datasets.benchmark(name, 1)
    }
    assert len(held) == 19
    names = {name for recipe in RECIPES.values() for name in recipe.data}
    for name in names:
        dataset = datasets.open_data(name, 1)
        assert not any(dataset.hr(i).tobytes() in held for i in range(len(dataset)))


def test_a_run_is_not_resumed_with_other_photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        photo = rng.integers(0, 256, (40, 44, 3), dtype=np.uint8)
        images.write(tmp_path / "photos" / f"{name}.png", photo)
    recipe = dataclasses.replace(
        TINY, data=tmp_path / "photos", hold_out=1, steps=2, options={"channels": 3}
    )
    train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "aa.png")
    with pytest.raises(ValueError, match="other photos: of those for training, a, aa"):
        train(recipe, tmp_path / "run", resume=True)


def test_a_run_that_failed_before_its_first_save_blocks_no_folder(tmp_path):
    wrong = dataclasses.replace(TINY, steps=2, options={"channels": 1})

    def fail(*args):
        raise MemoryError

    with pytest.raises(MemoryError):
        recipes.train(wrong, tmp_path, progress=fail, cache=tmp_path / "cache")
    (tmp_path / "recipe.json").write_text("{}")
    train(dataclasses.replace(wrong, batch_size=2), tmp_path)
    with pytest.raises(FileExistsError, match="There is a run in"):
        train(wrong, tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json cannot be read"):
        train(wrong, tmp_path, resume=True)
    shutil.rmtree(tmp_path / "state")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match="has best.keras, and no state"):
            train(wrong, tmp_path, resume=resume)


def test_weights_are_rounded_as_they_were_in_training(tmp_path):
    recipe = dataclasses.replace(
        TINY, steps=2, precision="mixed_bfloat16", rounded=True
    )
    train(recipe, tmp_path)
    last = keras.models.load_model(tmp_path / "last.keras", compile=False)
    kept = models.load(tmp_path / recipes.WEIGHTS_FILE)
    for layer, other in zip(last.layers, kept.layers, strict=True):
        for now, then in zip(other.get_weights(), layer.get_weights(), strict=True):
            is_rounded = layer.name in ("features", "mapping")
            if is_rounded:
                then = keras.ops.cast(keras.ops.cast(then, "bfloat16"), "float32")
            rtol = 1e-7 if is_rounded else 1e-3
            np.testing.assert_allclose(now, then, rtol=rtol, atol=1e-7)
    scores = pretrained.training_of(tmp_path / recipes.WEIGHTS_FILE)["validation"]
    photos = recipes.open_datasets(recipe)[1]
    psnr = evaluate(kept, photos)["mean"]["psnr_y"]
    assert scores["psnr_y"] == pytest.approx(psnr, abs=1e-3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "`steps` must be a whole number from 1. Received: 0"),
        ({"batch_size": -2}, "`batch_size` must be .* Received: -2"),
        ({"lr_size": 2.5}, "`lr_size` must be .* Received: 2.5"),
        ({"learning_rate": -1.0}, "`learning_rate` must be above 0. Received: -1.0"),
        ({"clip_norm": 0.0}, "`clip_norm` must be above 0. Received: 0.0"),
        ({"options": {"scale": 3}}, "`scale` is no option. Received: 3 beside 2"),
        ({"data": ("a", "./a/")}, "`data` names something twice"),
    ],
)
def test_what_no_recipe_can_have(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)
