import functools
import inspect
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras import pretrained
from sr_keras.models import NETWORKS

# As small as each network can be; one that is missing here is tested at full size.
SMALL = {
    "srcnn": {"filters": (4, 4)},
    "fsrcnn": {"num_features": 4, "num_shrunk": 4, "num_mappings": 1},
    "espcn": {"filters": (4, 4)},
    "vdsr": {"filters": 4, "num_layers": 3},
    "lapsrn": {"filters": 4, "num_convs": 2},
    "autoencoder": {"filters": (4, 4)},
    "unet": {"filters": 4, "num_levels": 2},
    "srresnet": {"filters": 4, "num_blocks": 1},
    "edsr": {"filters": 4, "num_blocks": 1},
    "wdsr": {"filters": 4, "num_blocks": 1},
    "rdn": {"filters": 4, "num_blocks": 2, "num_convs": 2, "growth": 4},
    "rcan": {"filters": 8, "num_groups": 1, "num_blocks": 1, "reduction": 1},
    "rrdb": {"filters": 4, "num_blocks": 1, "growth": 4},
    "dbpn": {"filters": 4, "num_features": 4, "num_stages": 2},
    "stacked_hourglass": {"filters": 8, "depth": 1},
    "vae": {"filters": 4, "num_blocks": 1, "latent_channels": 2},
}
# These choose between forms of a network with the same weights.
FORMS = {"weights", "name", "all_levels", "all_outputs"}

SAME_SIZE = "srcnn fsrcnn espcn vdsr autoencoder unet wdsr stacked_hourglass".split()

every_network = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def build(network, scale=2, **kwargs):
    return NETWORKS[network](scale, **{**SMALL.get(network, {}), **kwargs})


# for tests that leave the weights as they are
build_once = functools.cache(build)


def photo(model, height=5, width=7):
    shape = (2, height, width, model.input_shape[-1])
    return np.random.default_rng(1).random(shape, "float32")


@every_network
def test_output_is_twice_as_large_for_odd_and_tiny_images(network):
    model = build_once(network)
    for height, width in [(5, 7), (1, 1)]:
        lr = photo(model, height, width)
        sr = model(lr)
        assert sr.shape == (2, 2 * height, 2 * width, lr.shape[-1])
        assert np.isfinite(sr).all()


@every_network
def test_channels_are_those_of_the_paper_or_what_is_asked_for(network):
    luma = ("srcnn", "fsrcnn", "espcn", "vdsr", "lapsrn")
    channels = build_once(network).input_shape[-1]
    assert channels == (1 if network in luma else 3)
    model = build(network, channels=4 - channels)
    assert model(photo(model)).shape == (2, 10, 14, 4 - channels)


@every_network
def test_one_graph_serves_all_sizes(network):
    model = build_once(network)
    spec = tf.TensorSpec((None, None, None, model.input_shape[-1]))
    graph = tf.function(model, input_signature=[spec])
    for height, width in [(5, 7), (1, 1), (8, 4)]:
        lr = photo(model, height, width)
        np.testing.assert_allclose(graph(lr), model(lr), atol=1e-5)


@pytest.mark.parametrize("network", SAME_SIZE)
def test_scale_1_restores_an_image_of_the_same_size(network):
    model = build(network, scale=1)
    lr = photo(model)
    assert model(lr).shape == lr.shape


@every_network
def test_size_is_known_before_the_model_is_called(network):
    model = build_once(network)
    channels = model.input_shape[-1]
    shape = model.compute_output_shape((None, 96, 96, channels))
    assert shape == (None, 192, 192, channels)


@every_network
def test_output_is_float32_under_mixed_precision(network, policy):
    model = build(network)
    low = policy.removeprefix("mixed_")
    assert any(layer.compute_dtype == low for layer in model.layers[1:])
    for weight in model.trainable_weights:
        if weight.path.endswith("bias"):
            weight.assign(np.full(weight.shape, 0.1))
    # in black, interpolation adds nothing that would hide a rounded output
    sr = model(photo(model) * 0)
    assert sr.dtype == "float32"
    assert (keras.ops.cast(keras.ops.cast(sr, low), "float32") != sr).numpy().any()


@every_network
def test_survives_a_round_trip_in_safe_mode(network, tmp_path):
    model = build_once(network)
    lr = photo(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(lr), model(lr))


@every_network
def test_one_step_changes_all_weights(network):
    model = build(network)
    model.compile("adam", "mae", run_eagerly=True)
    before = [weight.numpy().copy() for weight in model.weights]
    lr = photo(model)
    model.train_on_batch(lr, np.repeat(np.repeat(lr, 2, axis=1), 2, axis=2))
    same = [
        weight.path
        for weight, old in zip(model.weights, before, strict=True)
        if np.array_equal(weight, old)
    ]
    # latent variables of 0 have no use for their weights
    unused = ["gate/kernel", "gate/bias", "latents/kernel"]
    assert sorted(same) == (sorted(unused) if network == "vae" else [])


@every_network
@pytest.mark.parametrize("scale", [0, -2, 2.5, True, 2.0])
def test_scale_error_says_what_came(network, scale):
    with pytest.raises(ValueError, match=rf"`scale` must be .*\. Received: {scale}"):
        build(network, scale=scale)


@every_network
def test_a_scale_may_be_a_whole_number_of_numpy(network):
    config = pretrained.description(build(network, scale=np.int64(2)))["config"]
    assert json.loads(json.dumps(config))["scale"] == 2


@every_network
def test_a_number_of_layers_or_channels_out_of_range_is_named(network):
    numbers = ("filters", "growth", "depth", "expansion", "reduction", "channels")
    for name in inspect.signature(NETWORKS[network]).parameters:
        if name in numbers or name.startswith("num_"):
            value = SMALL.get(network, {}).get(name)
            wrong = (0, *value[1:]) if isinstance(value, tuple) else 0
            message = rf"`{name}` must be .* from 1\. Received: {re.escape(str(wrong))}"
            with pytest.raises(ValueError, match=message):
                build(network, **{name: wrong})


@every_network
def test_weights_are_loaded_by_name_and_all_arguments(network, monkeypatch):
    calls = []

    def load(model, *args):
        calls.append(args)
        return model

    monkeypatch.setattr(pretrained, "load", load)
    build(network, weights="best")
    ((weights, name, config),) = calls
    assert (weights, name) == ("best", network)
    assert set(config) == set(inspect.signature(NETWORKS[network]).parameters) - FORMS
    again = NETWORKS[network](**json.loads(json.dumps(config)))
    shapes = [weight.shape for weight in build_once(network).weights]
    assert [weight.shape for weight in again.weights] == shapes
