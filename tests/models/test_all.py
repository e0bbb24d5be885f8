import functools
import inspect
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras.models import INTERPOLATIONS, NETWORKS, on_luma, vae_decoder, vae_encoder

# As small as each network can be. A network that is missing here has its full size.
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
    "rlfn": {"filters": 4, "num_blocks": 1, "attention_filters": 4},
    "rrdb": {"filters": 4, "num_blocks": 1, "growth": 4},
    "span": {"filters": 4, "num_blocks": 1},
    "srvgg": {"filters": 4, "num_convs": 1},
    "dbpn": {"filters": 4, "num_features": 4, "num_stages": 2},
    "stacked_hourglass": {"filters": 8, "depth": 1},
    "swinir": {"filters": 8, "depths": (2,), "num_heads": 2, "window": 4},
    "vae": {"filters": 4, "num_blocks": 1, "latent_channels": 2},
}
SAME_SIZE = (
    "srcnn fsrcnn espcn vdsr autoencoder unet wdsr stacked_hourglass rlfn srvgg".split()
)

every_network = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def build(network, scale=2, **kwargs):
    return NETWORKS[network](scale, **{**SMALL.get(network, {}), **kwargs})


# for tests that do not change the weights
build_once = functools.cache(build)


def photo(model, height=5, width=7):
    shape = (2, height, width, model.input_shape[-1])
    return np.random.default_rng(1).random(shape, "float32")


@every_network
def test_upscales_odd_and_tiny_images(network):
    model = build_once(network)
    for height, width in [(5, 7), (1, 1)]:
        lr = photo(model, height, width)
        sr = model(lr)
        assert sr.shape == (2, 2 * height, 2 * width, lr.shape[-1])
        assert np.isfinite(sr).all()


@every_network
def test_default_channels_are_those_of_the_paper_and_can_be_changed(network):
    luma = ("srcnn", "fsrcnn", "espcn", "vdsr", "lapsrn")
    channels = build_once(network).input_shape[-1]
    assert channels == (1 if network in luma else 3)
    model = build(network, channels=4 - channels)
    assert model(photo(model)).shape == (2, 10, 14, 4 - channels)


@every_network
def test_one_graph_takes_all_sizes(network):
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
def test_output_shape_is_static(network):
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
    # for a black image, interpolation adds nothing that would hide a rounded output
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
    # the weights of the latents have no effect for latents of 0
    unused = ["gate/kernel", "gate/bias", "latents/kernel"]
    assert sorted(same) == (sorted(unused) if network == "vae" else [])


@every_network
@pytest.mark.parametrize("scale", [0, -2, 2.5, True, 2.0, "2", None, (2, 2)])
def test_wrong_scales_are_refused(network, scale):
    with pytest.raises(ValueError) as error:
        build(network, scale=scale)
    assert str(error.value).startswith("`scale` must be ")
    assert str(error.value).endswith(f" Received: scale={scale!r}")


@every_network
def test_arguments_of_wrong_types_are_refused(network):
    small = SMALL.get(network, {})
    counts = ("growth", "depth", "expansion", "reduction", "channels", "gain")
    counts += ("latent_channels", "unshuffle", "window")
    for parameter in inspect.signature(NETWORKS[network]).parameters.values():
        name, default = parameter.name, parameter.default
        if name in ("scale", "weights", "name"):
            continue
        if isinstance(default, tuple):
            wrong, expected = [4, (), (0, *default[1:]), (2.5,)], "a list of .*"
        elif isinstance(default, bool):
            wrong, expected = ["yes", 1], "a bool"
        elif name in counts or name.startswith("num_") or name.endswith("filters"):
            wrong, expected = [0, -1, 2.5, True, "4", (4,)], "a positive integer"
        elif isinstance(default, float):
            wrong, expected = ["0.1", True, float("nan"), (0.1,)], "a finite number"
        else:
            assert name in ("variant", "activation"), name
            wrong, expected = [5, ["a"]], ".*"
        for value in wrong:
            with pytest.raises(ValueError) as error:
                build(network, **{**small, name: value})
            message = str(error.value)
            assert re.match(f"`{name}` must be {expected}", message), message
            assert message.endswith(f" Received: {name}={value!r}"), message


@every_network
def test_identity_builds_the_network_again(network):
    model = build(network, scale=np.int64(2))
    stored = json.loads(json.dumps(model.identity))
    assert stored["network"] == network
    free = {"weights", "name", "all_levels", "all_outputs"}
    assert (
        set(stored["config"])
        == set(inspect.signature(NETWORKS[network]).parameters) - free
    )
    again = NETWORKS[network](**stored["config"])
    assert again.identity == model.identity
    shapes = [weight.shape for weight in build_once(network).weights]
    assert [weight.shape for weight in again.weights] == shapes


@every_network
def test_weights_are_loaded_from_a_file(network, tmp_path):
    trained = build_once(network)
    trained.save_weights(tmp_path / "run.weights.h5")
    model = build(network, weights=tmp_path / "run.weights.h5")
    for value, expected in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@every_network
def test_does_not_depend_on_the_image_data_format_of_keras(network, channels_first):
    keras.config.set_image_data_format("channels_last")
    expected = build_once(network)
    keras.config.set_image_data_format("channels_first")
    model = build(network)
    assert keras.config.image_data_format() == "channels_first"
    assert not any(
        layer.get_config().get("data_format") == "channels_first"
        for layer in model.layers
    )
    model.set_weights(expected.get_weights())
    np.testing.assert_array_equal(model(photo(model)), expected(photo(model)))


def test_other_models_do_not_depend_on_the_image_data_format(channels_first):
    small = {"filters": 4, "num_blocks": 1, "latent_channels": 2}
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    hr = np.random.default_rng(1).random((1, 10, 14, 3), "float32")
    z = np.random.default_rng(2).random((1, 5, 7, 2), "float32")
    for name, builder in INTERPOLATIONS.items():
        keras.config.set_image_data_format("channels_last")
        expected = builder(2)(lr)
        keras.config.set_image_data_format("channels_first")
        np.testing.assert_array_equal(builder(2)(lr), expected, err_msg=name)
    mean, _ = vae_encoder(2, **small)([lr, hr])
    assert mean.shape == (1, 5, 7, 2)
    assert vae_decoder(2, **small)([lr, z]).shape == (1, 10, 14, 3)
    assert on_luma(build("espcn"))(lr).shape == (1, 10, 14, 3)
