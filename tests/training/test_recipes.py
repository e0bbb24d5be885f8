import dataclasses

import keras
import numpy as np
import pytest

from sr_keras import datasets
from sr_keras.training import RECIPES, Recipe, recipes

TINY = Recipe("espcn", 2, ("samples",), lr_size=8, steps=10, precision="float32")


def rates(schedule):
    optimizer = recipes.build(
        dataclasses.replace(TINY, schedule=schedule, learning_rate=1.0)
    ).optimizer
    found = []
    for step in range(11):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_schedules():
    assert rates("constant") == [1.0] * 11
    cosine = [(1 + np.cos(np.pi * step / 10)) / 2 for step in range(11)]
    np.testing.assert_allclose(rates("cosine"), cosine, atol=1e-6)
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


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_built(name):
    model = recipes.build(RECIPES[name])
    assert model.optimizer is not None


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
