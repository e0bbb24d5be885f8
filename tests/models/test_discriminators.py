import keras
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from sr_keras import models
from sr_keras.features import FeatureExtractor
from sr_keras.models.discriminators import (
    DISCRIMINATORS,
    VGG54,
    VGGFeatures,
    feature_discriminator,
    patchgan,
    srfeat_discriminator,
    srgan_discriminator,
    unet_discriminator,
    vgg_discriminator,
)

BUILDERS = {
    "srgan": lambda **kw: srgan_discriminator(size=20, filters=4, **kw),
    "patchgan": lambda **kw: patchgan(filters=4, **kw),
    "unet": lambda **kw: unet_discriminator(filters=4, **kw),
}
every_discriminator = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
spectral = pytest.mark.parametrize("spectral_norm", [False, True])


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def images(model):
    _, height, width, channels = model.input_shape
    shape = (2, height or 19, width or 23, channels)
    return np.random.default_rng(0).random(shape, "float32")


def trainable(model):
    return sum(w.numpy().size for w in model.trainable_weights)


def test_srgan_discriminator_has_the_weights_of_the_paper():
    model = srgan_discriminator()
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    kernels = sum(9 * a * b for a, b in zip(widths, widths[1:], strict=False))
    norms = 2 * sum(widths[2:])
    dense = 6 * 6 * 512 * 1024 + 1024 + 1024 + 1
    assert trainable(model) == kernels + 64 + norms + dense
    assert model.output_shape == (None, 1)


def test_feature_discriminator_is_the_same_network_on_features():
    # only the first convolution and what is flattened (1x1, not 6x6) differ
    expected = trainable(srgan_discriminator())
    expected += 9 * (512 - 3) * 64 - (36 - 1) * 512 * 1024
    model = feature_discriminator()
    assert trainable(model) == expected
    assert model.input_shape == (None, 6, 6, 512)


def test_patchgan_has_the_weights_of_the_paper():
    model = patchgan(channels=6)
    assert trainable(model) == 2_768_705
    assert model(np.zeros((1, 70, 33, 6), "float32")).shape == (1, 9, 5, 1)


@pytest.mark.parametrize("num_layers, size", [(1, 16), (2, 34), (3, 70)])
def test_patchgan_sees_patches_of_its_size(num_layers, size):
    model = patchgan(filters=4, num_layers=num_layers, channels=1)
    image = tf.random.stateless_uniform((1, 96, 96, 1), (0, 0))
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = model(image)
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2]
    rows = np.flatnonzero(np.any(tape.gradient(middle, image)[0, ..., 0], axis=1))
    assert rows[-1] - rows[0] + 1 == size


def test_unet_discriminator_has_the_weights_of_the_paper():
    assert trainable(unet_discriminator()) == 4_376_897


@spectral
def test_unet_discriminator_has_a_logit_for_every_pixel_of_any_size(spectral_norm):
    model = unet_discriminator(filters=4, spectral_norm=spectral_norm)
    spec = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(model, input_signature=[spec])
    for height, width in [(5, 7), (1, 1), (16, 9)]:
        image = np.ones((1, height, width, 3), "float32")
        assert model(image).shape == (1, height, width, 1)
        np.testing.assert_allclose(graph(image), model(image), atol=1e-6)


@every_discriminator
def test_survives_a_round_trip_in_safe_mode(build, tmp_path):
    model = build(spectral_norm=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images(model)), model(images(model)))


@every_discriminator
@spectral
def test_one_step_changes_all_weights(build, spectral_norm):
    model = build(spectral_norm=spectral_norm)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    x = images(model)
    before = [w.numpy().copy() for w in model.weights]
    # The vector of a single filter converges at once, so it is left out.
    model.train_on_batch(x, np.ones(model(x).shape))
    for weight, old in zip(model.weights, before, strict=True):
        if "vector_u" not in weight.path:
            assert not np.array_equal(weight, old), weight.path


@every_discriminator
@spectral
def test_logits_are_float32_under_mixed_precision(build, spectral_norm, bfloat16):
    model = build(spectral_norm=spectral_norm)
    assert any(layer.compute_dtype == "bfloat16" for layer in model.layers[1:])
    logits = model(images(model), training=True)
    assert logits.dtype == "float32"
    rounded = keras.ops.cast(keras.ops.cast(logits, "bfloat16"), "float32")
    assert (rounded != logits).numpy().any()


@every_discriminator
def test_spectral_norm_makes_the_largest_singular_value_one(build):
    model = build(spectral_norm=True)
    for _ in range(20):
        model(images(model), training=True)
    wrappers = [x for x in model.layers if x.name.endswith("spectral")]
    assert len(wrappers) >= 5
    for wrapper in wrappers:
        kernel = wrapper.layer.kernel.numpy()
        values = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
        np.testing.assert_allclose(values[0], 1, rtol=0.05)
    assert not any("norm_" in layer.name for layer in model.layers)


def test_spectral_norm_does_not_round_weights_to_16_bits(bfloat16):
    model = patchgan(filters=4, spectral_norm=True)
    model(images(model), training=True)
    kernel = model.get_layer("conv_1_spectral").layer.kernel.value
    rounded = keras.ops.cast(keras.ops.cast(kernel, "bfloat16"), "float32")
    assert (rounded != kernel).numpy().any()


@every_discriminator
def test_slopes_are_those_of_the_papers(build):
    slopes = [layer.negative_slope for layer in build().layers if "relu" in layer.name]
    assert len(slopes) > 3 and set(slopes) == {0.2}


def test_unet_discriminator_adds_the_maps_of_the_way_down():
    model = BUILDERS["unet"](spectral_norm=False)
    for i, down in enumerate(("head_relu", "down_0_relu", "down_1_relu")):
        skip = model.get_layer(f"skip_{i}")
        both = keras.Model(model.input, [*skip.input, skip.output])
        up, down_map, total = both(images(model))
        expected = keras.Model(model.input, model.get_layer(down).output)(images(model))
        np.testing.assert_array_equal(down_map, expected)
        np.testing.assert_allclose(total, up + down_map, atol=1e-6)


def test_srfeat_has_a_logit_for_pixels_and_one_for_features(data_dir, tmp_path):
    model = srfeat_discriminator(32, filters=2)
    x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    of_pixels, of_features = model(x)
    assert of_pixels.shape == of_features.shape == (2, 1)
    features = FeatureExtractor(["VGG54"])(x)[0] / 12.75
    expected = model.get_layer("feature_discriminator")(features)
    np.testing.assert_allclose(of_features, expected, rtol=1e-4, atol=1e-6)
    expected = model.get_layer("srgan_discriminator")(x)
    np.testing.assert_allclose(of_pixels, expected, rtol=1e-5)
    with tf.GradientTape() as tape:
        total = sum(tf.reduce_sum(logits) for logits in model(x, training=True))
    gradients = tape.gradient(total, model.trainable_variables)
    assert all(np.any(gradient) for gradient in gradients)
    model.save_weights(tmp_path / "model.weights.h5")
    assert (tmp_path / "model.weights.h5").stat().st_size < 1e6  # without VGG19


def test_vgg54_knows_its_output_shape():
    assert VGG54().compute_output_shape((None, 70, None, 3)) == (None, 4, None, 512)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_vgg_discriminator_has_logits_for_the_features_of_each_layer(
    data_dir, tmp_path, spectral_norm
):
    names = ["vgg19/block2_conv2", "vgg19/block4_conv1"]
    model = vgg_discriminator(names, filters=3, spectral_norm=spectral_norm)
    x = np.random.default_rng(0).random((2, 33, 40, 3), "float32")
    found = model(x)
    assert [y.shape for y in found] == [(2, 16, 20, 1), (2, 4, 5, 1)]
    features = FeatureExtractor(names)(x)
    for layer, divisor, feature, logits in zip(
        ("block2_conv2", "block4_conv1"), (249, 933), features, found, strict=True
    ):
        y = feature / divisor
        for i in range(2):
            suffix = "_spectral" if spectral_norm else ""
            y = model.get_layer(f"{layer}_conv_{i}{suffix}")(y)
            y = tf.nn.leaky_relu(y, 0.2)
        expected = model.get_layer(f"{layer}_logits")(y)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    image = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = sum(tf.reduce_sum(logits) for logits in model(image, training=True))
    gradients = tape.gradient(total, [image, *model.trainable_variables])
    assert all(np.any(gradient) for gradient in gradients)
    assert len(model.trainable_variables) == 12  # none of VGG19
    model.save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 1e5
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(x)[1], model(x)[1], rtol=1e-4, atol=1e-6)


def test_features_of_photos_have_magnitude_one(data_dir):
    names = [f"vgg19/block{b}_conv2" for b in (1, 2, 3, 4, 5)]
    layer = VGGFeatures(names)
    photo = skimage.data.astronaut()[None, :256, :256] / 255
    shapes = layer.compute_output_shape((1, 256, 256, 3))
    for features, shape in zip(layer(photo), shapes, strict=True):
        assert features.shape == shape
        assert 0.5 < np.sqrt(np.mean(np.square(features))) < 2


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_are_found_by_name(name):
    assert getattr(models, name) is DISCRIMINATORS[name]
    assert name in models.__all__
    model = DISCRIMINATORS[name](filters=1)
    assert model.name == name
    assert model.input_shape[-1] == 3


@pytest.mark.parametrize(
    "build, arguments, message",
    [
        (srgan_discriminator, {"filters": 0}, "`filters` must be a positive integer"),
        (feature_discriminator, {"size": -1}, "`size` must be a positive integer"),
        (patchgan, {"num_layers": 1.5}, "`num_layers` must be a positive integer"),
        (unet_discriminator, {"channels": 0}, "`channels` must be a positive integer"),
        (srfeat_discriminator, {"size": 40}, "`size` must be a multiple of 16.*=40"),
        (vgg_discriminator, {"filters": 0}, "`filters` must be a positive integer"),
        (vgg_discriminator, {"features": ()}, "must name convolutions of VGG19"),
        (vgg_discriminator, {"features": "VGG54"}, "vgg19/block5_conv4.*'VGG54'"),
    ],
)
def test_invalid_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize("build", [*DISCRIMINATORS.values(), feature_discriminator])
def test_spectral_norm_must_be_a_bool(build):
    with pytest.raises(ValueError, match="`spectral_norm` must be a bool. .*='False'"):
        build(filters=1, spectral_norm="False")
