"""What a recipe is, and what it builds."""

import json
import sys
import types

import keras
import numpy as np
import pytest

from sr_keras import datasets, losses, models, weights
from sr_keras.models import lapsrn
from sr_keras.optimizers import SOAP
from sr_keras.pipeline import training_batches
from sr_keras.training import (
    RECIPES,
    DiffusionRecipe,
    GANRecipe,
    Recipe,
    RelativisticGAN,
    VAERecipe,
)
from sr_keras.training.recipe import from_json

TINY = Recipe(
    network="espcn",
    scale=2,
    data=("samples",),
    lr_patch_size=8,
    steps=10,
    precision="float32",
)
TINY_GAN = GANRecipe(
    network="srresnet",
    scale=2,
    data=("samples",),
    options={"filters": 4, "num_blocks": 1},
    precision="float32",
    discriminator="patchgan",
    discriminator_options={"filters": 4, "num_layers": 1},
    losses=((1.0, "l1"), (0.5, ("charbonnier", {"epsilon": 0.01}))),
    ema_momentum=0.9,
)
TINY_VAE = VAERecipe(
    network="vae",
    scale=2,
    data=("samples",),
    options={"filters": 4, "num_blocks": 1, "latent_channels": 2},
    precision="float32",
    encoder_options={"filters": 4, "num_blocks": 1, "latent_channels": 2},
)
TINY_DIFFUSION = DiffusionRecipe(
    network="denoiser",
    scale=2,
    data=("samples",),
    options={"filters": 8, "num_levels": 2},
    precision="float32",
)
TINY_PYRAMID = Recipe(
    network="lapsrn",
    scale=4,
    data=("samples",),
    options={"filters": 4, "num_convs": 1, "all_levels": True},
    precision="float32",
    loss="charbonnier",
)


def rates(schedule, warmup_steps=0, num_steps=11, **changes):
    recipe = TINY.replace(
        schedule=schedule, learning_rate=1.0, warmup_steps=warmup_steps, **changes
    )
    optimizer = recipe.build().optimizer
    found = []
    for step in range(num_steps):
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


def test_the_rate_is_halved_four_times_in_any_number_of_steps():
    for steps in (6, 9, 10):
        assert rates("halving", num_steps=steps, steps=steps)[-1] >= 1 / 16
    assert rates("halving", num_steps=9, steps=9)[-1] == 1 / 16


def test_schedules_of_keras_get_the_rate_and_the_steps():
    linear = ("PolynomialDecay", {"end_learning_rate": 0.0})
    expected = [1 - step / 10 for step in range(11)]
    np.testing.assert_allclose(rates(linear), expected, atol=1e-6)
    short = ("PolynomialDecay", {"end_learning_rate": 0.0, "decay_steps": 5})
    assert rates(short)[5:] == [0.0] * 6


def test_the_model_has_what_the_recipe_says():
    recipe = TINY.replace(
        **{"options.filters": [4, 4]},
        loss="charbonnier",
        global_clipnorm=0.5,
        ema_momentum=0.99,
        optimizer_options={"beta_2": 0.98},
        precision="mixed_bfloat16",
    )
    model = recipe.build()
    assert model.get_layer("features").filters == 4
    assert model.get_layer("features").compute_dtype == "bfloat16"
    assert model.get_layer("subpixels").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert model.loss.name == "charbonnier"
    kinds = {
        "adam": keras.optimizers.Adam,
        "soap": SOAP,
        "adamw": keras.optimizers.AdamW,
    }
    for name, kind in kinds.items():
        optimizer = recipe.replace(optimizer=name).build().optimizer
        assert type(optimizer) is kind
        assert (optimizer.global_clipnorm, optimizer.beta_2) == (0.5, 0.98)
        assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.99)


def test_float16_scales_the_loss():
    model = TINY.replace(precision="mixed_float16").build()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_equal_seeds_give_equal_weights():
    first, second = TINY.build(), TINY.build()
    other = TINY.replace(seed=1).build()
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])
    assert np.any(first.get_weights()[0] != other.get_weights()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"network": "net"},
            "'net' is not the name of a network. .*Available: .*srcnn",
        ),
        ({"network": "edrs"}, "Did you mean 'edsr'"),
        ({"schedule": "up"}, "'up' is not the name of a schedule"),
        ({"schedule": ("cosine", {})}, "'cosine' takes no arguments. Received: "),
        ({"schedule": ("cosine",)}, "a pair of a name and a dict .* Received: "),
        ({"schedule": ("PolynomialDecay", 3)}, "a pair of a name and a dict"),
        ({"loss": ((1.0, "l1", 2),)}, r"`loss` must be a list of pairs \(weight, loss"),
        ({"loss": ((),)}, r"`loss` must be a list of pairs \(weight, loss"),
        ({"optimizer": "adan"}, "'adan' is not .* an optimizer. Did you mean 'adam'"),
        ({"optimizer_options": {"beta_7": 1}}, "The options do not fit adam: .*beta_7"),
        ({"warmup_steps": 10}, "less than the 10 steps. Received: warmup_steps=10"),
        (
            {"warmup_steps": 1, "schedule": "constant"},
            "`warmup_steps` needs the schedule 'cosine'. Received: warmup_steps=1",
        ),
        ({"options": {"depth": 1}}, "The options do not fit espcn: .*depth"),
        ({"options": {"filter": [4]}}, "fit espcn: 'filter' is .* mean 'filters'"),
        (
            {"precision": "bfloat16"},
            "`precision` must .* Did you mean 'mixed_bfloat16'",
        ),
        ({"loss": "l3"}, "l3"),
        ({"network": "no_module:net"}, "has not been imported. .*--import no_module"),
    ],
)
def test_errors_of_build(change, message):
    with pytest.raises(ValueError, match=message):
        TINY.replace(**change).build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "`steps` must be a positive integer. Received: steps=0"),
        ({"batch_size": -2}, "`batch_size` must be .* Received: batch_size=-2"),
        ({"lr_patch_size": 2.5}, "`lr_patch_size` must be .* Received: .*=2.5"),
        ({"learning_rate": -1.0}, "must be a positive number. .*learning_rate=-1.0"),
        ({"learning_rate": None}, "must be a positive number. .*learning_rate=None"),
        ({"learning_rate": float("inf")}, "must be a positive number. .*=inf"),
        ({"global_clipnorm": 0.0}, "must be a positive number. .*clipnorm=0.0"),
        ({"ema_momentum": 1}, r"`ema_momentum` must be None or in \[0, 1\)"),
        ({"options": {"scale": 3}}, "`scale` is a field of its own"),
        ({"data": ("a", "./a/")}, "`data` names something twice"),
        ({"data": ()}, "`data` must name at least one"),
        ({"data": ("a", "b"), "lr_data": "c"}, "`lr_data` must have one entry for"),
        ({"loss": losses.L1()}, "A recipe holds strings, numbers.* Received: loss="),
        ({"learning_rat": 1}, "'learning_rat' .* Did you mean 'learning_rate'"),
        ({"skip_bad": "False"}, "`skip_bad` must be a bool. Received: .*='False'"),
        ({"seed": "abc"}, "`seed` must be an integer of at least 0. .*='abc'"),
        ({"seed": -1}, "`seed` must be an integer of at least 0. .*=-1"),
        ({"seed": 2**32}, r"`seed` must be less than 2\*\*32"),
        ({"warmup_steps": "abc"}, "`warmup_steps` must be an integer of at least 0"),
        ({"warmup_steps": -1}, "`warmup_steps` must be an integer of at least 0"),
        ({"num_validation": -1}, "`num_validation` must be an integer of at least 0"),
        ({"options": 5}, "`options` must be a dict of arguments. .* options=5"),
        ({"optimizer_options": "a"}, "`optimizer_options` must be a dict"),
        ({"validation": 2024}, "`validation` must be None or a string. .*=2024"),
        ({"init_from": 1}, "`init_from` must be None or a string"),
        ({"data": 2024}, "`data` must be a name or folder, or a list .*=2024"),
        ({"data": ("a", 2024)}, "`data` must be a name or folder, or a list"),
        ({"lr_data": 2024}, "`lr_data` must be a name or folder, or a list"),
        ({"steps.x": 1}, "`steps` has no entries. Received: steps.x"),
    ],
)
def test_values_that_a_recipe_cannot_have(changes, message):
    with pytest.raises(ValueError, match=message):
        TINY.replace(**changes)


@pytest.mark.parametrize(
    "recipe", [TINY, TINY_GAN, TINY_VAE, TINY_DIFFUSION, *RECIPES.values()]
)
def test_a_recipe_survives_json(recipe):
    text = json.dumps(recipe.as_json())
    assert from_json(json.loads(text)) == recipe


def test_fields_that_were_added_later_get_their_defaults():
    for recipe in (TINY, TINY_GAN, TINY_VAE):
        values = recipe.as_json()
        for name in ("seed", "min_contrast", "lr_data", "adversarial_weight"):
            values.pop(name, None)
        values.pop("kl_weight", None)
        assert from_json(values) == recipe
    with pytest.raises(ValueError, match="'stepps' .*Did you mean 'steps'"):
        from_json({**TINY.as_json(), "stepps": 3})
    with pytest.raises(ValueError, match="not complete: .*'scale'"):
        from_json({"network": "edsr", "data": ["samples"]})
    with pytest.raises(ValueError, match="'gann' is not the name of a kind"):
        from_json({**TINY.as_json(), "kind": "gann"})


def test_a_changed_recipe_loses_its_name():
    recipe = RECIPES["demo"]
    assert recipe.name == "demo"
    assert recipe.replace(steps=recipe.steps).name == "demo"
    assert recipe.replace(steps=5).name is None
    changed = recipe.replace(**{"options.filters": [4, 4], "options.channels": 1})
    assert changed.options == {**recipe.options, "filters": (4, 4), "channels": 1}
    assert recipe.options["channels"] == 3


def test_auto_precision_is_resolved(monkeypatch):
    from sr_keras.training import recipe as module

    monkeypatch.setattr(module, "choose_precision", lambda name: "mixed_float16")
    assert TINY.replace(precision="auto").resolved().precision == "mixed_float16"


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_built(name, monkeypatch):
    recipe = RECIPES[name]
    if recipe.init_from == "RealESRGAN_x4plus.safetensors":  # not part of the project
        teacher = models.rrdb(4, num_blocks=1)
        monkeypatch.setattr(models, "load", {recipe.init_from: teacher}.get)
    model = recipe.build()
    assert recipe.upscaler(model).count_params() > 0


def test_a_gan_has_losses_in_place_of_a_loss():
    with pytest.raises(ValueError, match="`losses` in place of `loss`. .* loss='l2'"):
        TINY_GAN.replace(loss="l2")
    with pytest.raises(ValueError, match="`losses` must be a list of pairs .*='l1'"):
        TINY_GAN.replace(losses="l1")
    with pytest.raises(ValueError, match="`losses` must be a list of pairs"):
        TINY_GAN.replace(losses=((1.0, "l1", 2),))


def test_values_that_a_gan_cannot_have():
    with pytest.raises(ValueError, match="`relativistic` must be a bool"):
        TINY_GAN.replace(relativistic="False")
    for rate in (0.0, -1e-4):
        with pytest.raises(ValueError, match="`discriminator_learning_rate` must be a"):
            TINY_GAN.replace(discriminator_learning_rate=rate)
    with pytest.raises(ValueError, match="`discriminator_options` must be a dict"):
        TINY_GAN.replace(discriminator_options=1)


def test_a_gan_is_built_as_its_recipe_says():
    recipe = TINY_GAN.replace(
        relativistic=True,
        adversarial_weight=0.25,
        discriminator_warmup_loss=1.0,
        discriminator_min_loss=0.5,
        learning_rate=0.01,
        discriminator_learning_rate=0.02,
        schedule="constant",
    )
    gan = recipe.build()
    assert type(gan) is RelativisticGAN
    assert [weight for weight, _ in gan.image_losses.values()] == [1.0, 0.5]
    assert gan.adversarial_weight == 0.25
    assert gan.discriminator_warmup_loss == 1.0
    assert gan.discriminator_min_loss == 0.5
    assert gan.discriminator.name == "patchgan"
    assert gan.generator_optimizer.use_ema and not gan.discriminator_optimizer.use_ema
    rates = [float(optimizer.learning_rate) for optimizer, _ in gan.optimizers()]
    assert rates == pytest.approx([0.01, 0.02])
    with pytest.raises(ValueError, match="'unet' is not the name of a discriminator"):
        recipe.replace(discriminator="unet").build()


def test_a_vae_is_built_as_its_recipe_says():
    recipe = TINY_VAE.replace(
        kl_weight=0.5, mean_weight=0.25, annealing_steps=3, seed=4, loss="l2"
    )
    vae = recipe.build()
    assert (vae.kl_weight, vae.mean_weight, vae.annealing_steps) == (0.5, 0.25, 3)
    assert vae.seed == 4
    assert recipe.upscaler(vae) is vae.upscaler


def test_a_diffusion_model_is_built_as_its_recipe_says():
    model = TINY_DIFFUSION.replace(seed=4, loss="l1").build()
    assert model.denoiser.identity["config"] == {
        "scale": 2,
        "filters": 8,
        "num_levels": 2,
        "patch_size": 2,
        "channels": 3,
    }
    assert model.seed == 4
    assert type(model.loss) is type(losses.get("l1"))
    assert TINY_DIFFUSION.upscaler(model) is model.upscaler
    with pytest.raises(ValueError, match="'edsr' is not .* a DiffusionRecipe"):
        TINY_DIFFUSION.replace(network="edsr").build()


def test_every_output_is_compared_with_the_photo_in_its_size():
    model = TINY_PYRAMID.build()
    photo = np.full((64, 64, 3), 51, np.uint8)
    photos = datasets.Pairs(["a"], 4, lambda i: photo)
    batches = training_batches(photos, 8, 1, channels=1)
    lr, targets = next(iter(TINY_PYRAMID.with_targets(batches, model)))
    assert lr.shape == (1, 8, 8, 1)
    assert {name: tuple(x.shape) for name, x in targets.items()} == {
        "x2": (1, 16, 16, 1),
        "x4": (1, 32, 32, 1),
    }
    for target in targets.values():
        np.testing.assert_allclose(target, target[0, 0, 0, 0], atol=1e-5)


def test_a_network_starts_from_another_scale(tmp_path):
    source = lapsrn(2, filters=4, num_convs=1)
    path = tmp_path / "x2.weights.h5"
    weights.save(source, path)
    model = TINY_PYRAMID.replace(init_from=str(path)).build()
    np.testing.assert_array_equal(
        source.get_layer("head").get_weights()[0],
        model.get_layer("head").get_weights()[0],
    )


def test_names_of_functions_in_imported_modules(monkeypatch):
    module = types.ModuleType("my_module")

    @models.register(listed=False)
    def my_network(scale, filters=2, name="my_network"):
        inputs = keras.Input((None, None, 3))
        x = keras.layers.Conv2D(filters, 3, padding="same")(inputs)
        x = keras.layers.Conv2D(3 * scale**2, 3, padding="same")(x)
        return keras.Model(inputs, x, name=name)

    def my_loss(y_true, y_pred):
        return keras.ops.mean((y_true - y_pred) ** 4, axis=(1, 2, 3))

    module.network, module.loss = my_network, my_loss
    monkeypatch.setitem(sys.modules, "my_module", module)
    recipe = TINY.replace(
        network="my_module:network",
        scale=1,
        options={"filters": 3},
        loss=((1.0, "l1"), (0.5, "my_module:loss")),
        degradation="crappify",
    )
    model = recipe.build()
    assert model.identity["config"]["filters"] == 3
    with pytest.raises(ValueError, match="module my_module has no 'other'"):
        recipe.replace(network="my_module:other").build()
