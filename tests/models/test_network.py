"""Networks know their builder, arguments and scale, however they are copied."""

import importlib.util
import json
import os
import subprocess

import keras
import numpy as np
import preloaded
import pytest
import skimage.data
from keras import layers

from sr_keras import degradations, images, models
from sr_keras import weights as weight_files
from sr_keras.layers import PixelShuffle
from sr_keras.models.network import (
    NETWORKS,
    Network,
    Output,
    channels_last,
    identity_of,
    register,
    scale_of,
)

ESPCN = {
    "network": "espcn",
    "config": {
        "scale": 3,
        "filters": [4, 5],
        "activation": "relu",
        "bicubic_skip": True,
        "channels": 1,
    },
}


@pytest.fixture
def espcn():
    return models.espcn(3, (4, 5), activation="relu", bicubic_skip=True)


@pytest.fixture
def my_network():
    """A registered builder that is removed again."""
    before = dict(NETWORKS)

    @register
    def my_network(scale, filters=4, name="my_network"):
        inputs = keras.Input((None, None, 3))
        x = layers.Conv2D(filters * scale**2, 3, padding="same")(inputs)
        x = layers.Conv2D(3 * scale**2, 3, padding="same")(x)
        outputs = PixelShuffle(scale)(x)
        return keras.Model(inputs, outputs, name=name)

    yield my_network
    NETWORKS.clear()
    NETWORKS.update(before)


def image(model, height=5, width=7):
    shape = (1, height, width, model.input_shape[-1])
    return np.random.default_rng(0).random(shape, "float32")


def check(model):
    assert (model.scale, scale_of(model)) == (3, 3)
    assert model.identity == identity_of(model) == ESPCN


def test_builder_records_all_of_its_arguments(espcn):
    check(espcn)
    assert json.loads(json.dumps(espcn.identity)) == ESPCN
    defaults = models.espcn(np.int64(2)).identity["config"]
    assert defaults["filters"] == [64, 32]
    assert type(defaults["scale"]) is int


def test_changing_the_identity_does_not_change_the_network(espcn):
    espcn.identity["config"]["scale"] = 2
    check(espcn)


def test_mark_survives_a_file_in_safe_mode(espcn, tmp_path):
    espcn.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    check(loaded)
    assert isinstance(loaded, Network)
    np.testing.assert_array_equal(loaded(image(espcn)), espcn(image(espcn)))


def test_mark_survives_clone_model(espcn):
    check(keras.models.clone_model(espcn))


def test_mark_survives_a_copy_in_another_precision(espcn):
    def copy(layer):
        config = layer.get_config()
        if layer.name in ("features", "mapping"):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    clone = keras.models.clone_model(espcn, clone_function=copy)
    assert clone.get_layer("mapping").compute_dtype == "bfloat16"
    check(clone)


def test_mark_survives_a_plain_model_of_the_same_graph(espcn):
    plain = keras.Model(espcn.input, espcn.output)
    assert (scale_of(plain), identity_of(plain)) == (3, ESPCN)


def test_mark_is_not_taken_from_the_middle_of_a_graph(espcn):
    cropped = keras.Model(espcn.input, layers.Cropping2D(3)(espcn.output))
    assert identity_of(cropped) is None
    doubled = keras.Model(espcn.input, layers.UpSampling2D(2)(espcn.output))
    assert scale_of(doubled) == 6


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install jax",
)
def test_mark_survives_another_backend(espcn, tmp_path):
    espcn.save(tmp_path / "model.keras")
    program = f"""
import keras
from sr_keras import degradations, images, models
assert keras.backend.backend() == "jax"
model = models.load({str(tmp_path / "model.keras")!r})
assert (model.scale, model.identity) == (3, {ESPCN!r})
model.save({str(tmp_path / "again.keras")!r})
"""
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    python = preloaded.python("jax")
    subprocess.run([*python, "-c", program], env=env, check=True)
    check(models.load(tmp_path / "again.keras"))


@pytest.mark.parametrize("scale", [2, 8])
def test_outputs_of_all_levels_have_the_mark(scale):
    model = models.lapsrn(scale, filters=4, num_convs=1, all_levels=True)
    assert (model.scale, model.identity["network"]) == (scale, "lapsrn")
    assert list(model.output) == [f"x{n}" for n in (2, 4, 8) if n <= scale]


def test_free_arguments_are_not_part_of_the_identity(tmp_path):
    small = {"filters": 4, "num_convs": 1}
    training = models.lapsrn(4, all_levels=True, **small)
    assert "all_levels" not in training.identity["config"]
    assert training.identity == models.lapsrn(4, **small).identity
    weight_files.save(training, tmp_path / "run.weights.h5")
    final = models.load(tmp_path / "run.weights.h5")
    lr = image(final)
    np.testing.assert_array_equal(final(lr), training(lr)["x4"])


def test_vae_networks_know_their_scale():
    small = {"filters": 4, "num_blocks": 1}
    assert models.vae_encoder(3, **small).scale == 3
    decoder = models.vae_decoder(3, **small)
    assert decoder.scale == models.vae_upscaler(decoder).scale == 3
    assert decoder.identity == models.vae(3, **small).identity


def test_own_graph_becomes_a_network():
    inputs = keras.Input((None, None, 3))
    outputs = layers.UpSampling2D(3)(inputs)
    for model in (
        Network(inputs, outputs, scale=3, name="own"),
        Network(inputs=inputs, outputs=outputs, scale=3, name="own"),
    ):
        assert (model.name, model.scale, model.identity) == ("own", 3, None)
        copy = keras.models.clone_model(model)
        assert (copy.scale, copy.identity) == (3, None)
    assert models.on_luma(models.espcn(3)).scale == 3


def test_own_layer_may_have_the_name_of_the_mark():
    inputs = keras.Input((None, None, 3))
    x = layers.UpSampling2D(2, name="sr")(inputs)
    assert Network(inputs, x, scale=2).scale == 2


@pytest.mark.parametrize("scale", [0, 2.5, True, "2"])
def test_own_graph_needs_a_valid_scale(scale):
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=f"positive integer. .*scale={scale!r}"):
        Network(inputs, layers.UpSampling2D(2)(inputs), scale=scale)
    with pytest.raises(ValueError, match=f"positive integer. .*scale={scale!r}"):
        Output(scale)


def test_network_without_a_scale_does_not_invent_one():
    inputs = keras.Input((None, None, 3))
    model = Network(inputs, layers.UpSampling2D(2)(inputs))
    assert (model.scale, model.identity) == (None, None)
    assert scale_of(model) == 2


def test_registered_builder_is_found_by_name(my_network, tmp_path):
    assert NETWORKS["my_network"] is my_network
    model = my_network(2, filters=5)
    config = {"scale": 2, "filters": 5}
    assert model.identity == {"network": "my_network", "config": config}
    path = tmp_path / "own.weights.h5"
    weight_files.save(model, path)
    loaded = models.load(path)
    assert loaded.identity == model.identity
    np.testing.assert_array_equal(loaded(image(model)), model(image(model)))
    again = my_network(2, filters=5, weights=path)
    np.testing.assert_array_equal(again(image(model)), model(image(model)))
    with pytest.raises(ValueError, match=r"do not fit my_network\(scale=2, filters=4"):
        my_network(2, weights=path)


def test_unregistered_builder_of_a_file_is_named(my_network, tmp_path):
    weight_files.save(my_network(2), tmp_path / "own.weights.h5")
    del NETWORKS["my_network"]
    with pytest.raises(ValueError, match="'my_network' is not the name of a network"):
        models.load(tmp_path / "own.weights.h5")


def test_registered_builder_keeps_its_signature_and_docstring():
    def small_edsr(scale, filters=4):
        """Builds a small EDSR."""
        return models.edsr(scale, filters, num_blocks=1)

    build = register(small_edsr, listed=False)
    assert "small_edsr" not in NETWORKS
    assert build.__doc__ == "Builds a small EDSR."
    assert str(build.__signature__) == "(scale, filters=4, *, weights=None)"
    # the graph of EDSR has a mark already; that of the outer builder counts
    model = build(2)
    assert model.identity == {
        "network": "small_edsr",
        "config": {"scale": 2, "filters": 4},
    }
    copy = keras.models.clone_model(model)
    assert (copy.scale, copy.identity) == (2, model.identity)


def test_wrong_calls_of_a_builder_are_refused():
    with pytest.raises(TypeError, match="missing a required argument: 'scale'"):
        models.edsr()
    with pytest.raises(TypeError, match="unexpected keyword argument 'filter'"):
        models.edsr(2, filter=4)
    with pytest.raises(ValueError, match="must be numbers, .* filters=<object"):
        models.edsr(2, filters=object())


def test_wrong_builders_are_refused():
    def without_scale(filters):
        pass

    def with_weights(scale, weights=None):
        pass

    def with_kwargs(scale, **kwargs):
        pass

    for builder, message in [
        (without_scale, r"an argument `scale`. .*: without_scale\(filters\)"),
        (with_weights, r"not have an argument `weights`.*with_weights\(scale, "),
        (with_kwargs, r"name all of its arguments.*with_kwargs\(scale, \*\*kwargs\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            register(builder)
        assert builder.__name__ not in NETWORKS


def test_scale_of_other_objects():
    class Upscaler:
        scale = 4

    assert scale_of(Upscaler()) == 4
    inputs = keras.Input((None, None, 3))
    assert scale_of(keras.Model(inputs, layers.UpSampling2D(2)(inputs))) == 2
    assert scale_of(keras.Sequential([inputs, layers.UpSampling2D(3)])) == 3


@pytest.mark.parametrize(
    "layer, size",
    [
        (layers.Cropping2D(1), "94x94"),
        (layers.UpSampling2D((1, 2)), "96x192"),
        (layers.MaxPool2D(2), "48x48"),
    ],
)
def test_unknown_scale_is_an_error(layer, size):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs), name="odd")
    message = f"The scale of 'odd' is unknown.* Received: {size}"
    with pytest.raises(ValueError, match=message):
        scale_of(model)


@pytest.mark.parametrize(
    "name, nearest",
    [("edrs", "'edsr'"), ("espcn-x4-bsd", "'espcn-x4-bsds'"), ("bicubi", "'bicubic'")],
)
def test_load_suggests_the_nearest_name(name, nearest):
    with pytest.raises(ValueError, match=f"Did you mean .*{nearest}"):
        models.load(name, scale=4)


def test_load_needs_a_scale_for_the_name_of_a_network():
    with pytest.raises(ValueError, match="several scales, .* Received: scale=None"):
        models.load("bicubic")
    assert models.load("bicubic", scale=3).scale == 3


def test_load_checks_the_scale(espcn, tmp_path):
    weight_files.save(espcn, tmp_path / "x3.weights.h5")
    with pytest.raises(ValueError, match="is a network for x3. Received: scale=2"):
        models.load(tmp_path / "x3.weights.h5", scale=2)


def test_channels_last_restores_the_setting():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        with channels_last():
            assert layers.Conv2D(1, 1).data_format == "channels_last"
        with pytest.raises(KeyError), channels_last():
            raise KeyError
        assert layers.Conv2D(1, 1).data_format == "channels_first"
    finally:
        keras.config.set_image_data_format(before)


@pytest.mark.parametrize(
    "network, option", [("lapsrn", "all_levels"), ("stacked_hourglass", "all_outputs")]
)
def test_weights_are_in_the_same_order_with_one_output_and_with_all(network, option):
    options = {
        "lapsrn": {"filters": 4, "num_convs": 1},
        "stacked_hourglass": {"filters": 4, "depth": 1},
    }[network]
    one = NETWORKS[network](4, **options)
    several = NETWORKS[network](4, **options, **{option: True})
    names = [
        [layer.name for layer in model.layers if layer.weights]
        for model in (one, several)
    ]
    assert names[0] == names[1]


def test_shipped_encoder_has_mean_and_log_variance_in_their_places():
    # Exchanged, the weights fit as well; the divergence is then about 30 nats.
    hr = skimage.data.chelsea()[60:220, 100:260]
    lr = degradations.Downscale(4)(hr)
    encoder = models.vae_encoder(4, filters=32, weights="bsds-small")
    inputs = [images.to_float(x)[None] for x in (lr, hr)]
    mean, log_variance = map(np.asarray, encoder(inputs))
    divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    assert 3 < divergence.sum(-1).mean() < 12


def test_a_size_that_is_unknown_is_not_printed():
    with pytest.raises(ValueError, match="by an integer factor.$"):
        scale_of(lambda lr: lr)
