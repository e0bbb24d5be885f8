import hashlib
import os
import socket
import subprocess
import time

import h5py
import keras
import numpy as np
import preloaded
import pytest
import skimage.data
import tensorflow as tf

from sr_keras import features, files
from sr_keras.features import FeatureExtractor

KERAS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def photo(height=32, width=48):
    return skimage.data.astronaut()[None, 100 : 100 + height, 200 : 200 + width]


@pytest.fixture
def no_weights_available(monkeypatch, tmp_path):
    """Hides all weights and the network; returns the folder of Keras's models."""
    for name in ("SR_KERAS_VGG16", "SR_KERAS_VGG19", "SR_KERAS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(features, "_URL", "http://127.0.0.1:9")
    return tmp_path / "keras" / "models"


@pytest.fixture
def tiny_vgg19(monkeypatch):
    """VGG19 with 2 to 6 filters, built as in Keras, with random weights."""
    filters = (2, 3, 4, 5, 6)
    monkeypatch.setattr(features, "_FILTERS", filters)
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((None, None, 3))])
    for block, (width, count) in enumerate(zip(filters, (2, 2, 4, 4, 4), strict=True)):
        for i in range(count):
            name = f"block{block + 1}_conv{i + 1}"
            layer = keras.layers.Conv2D(width, 3, padding="same", name=name)
            model.add(layer)
            model.add(keras.layers.ReLU())
            shapes = [weight.shape for weight in layer.weights]
            layer.set_weights([rng.normal(0.05, 0.3, shape) for shape in shapes])
        model.add(keras.layers.MaxPooling2D(2))
    return model


def keras_features(model, name, image):
    """Features as keras.applications computes them with the weights of `model`."""
    pixels = keras.applications.vgg19.preprocess_input(image.astype("float32"))
    inner = keras.Model(model.inputs, model.get_layer(name).output)
    return np.array(inner([pixels]))


def test_imagenet_features_equal_those_of_keras_applications(data_dir):
    path = data_dir / "vgg19" / "vgg19_imagenet_notop.weights.h5"
    model = keras.applications.VGG19(include_top=False, weights=str(path))
    names = ["block1_conv1", "block3_pool", "block5_conv4"]
    extract = FeatureExtractor([f"vgg19/{name}" for name in names], path)
    for found, name in zip(extract(photo()), names, strict=True):
        expected = keras_features(model, name, photo())
        assert expected.max() > 100
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("style", ["keras 3", "older", "oldest"])
def test_every_style_of_keras_file_is_read(tiny_vgg19, tmp_path, style):
    path = tmp_path / ("vgg.weights.h5" if style == "keras 3" else "vgg.h5")
    if style == "keras 3":
        tiny_vgg19.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            for layer in tiny_vgg19.layers:
                name = layer.name
                kinds = [f"{name}_W_1:0", f"{name}_b_1:0"]
                if style == "older":
                    kinds = [f"{name}/kernel:0", f"{name}/bias:0"]
                for kind, weight in zip(kinds, layer.get_weights(), strict=False):
                    file[f"{name}/{kind}"] = weight
    layers = ["vgg19/block5_conv4/before_relu", "vgg19/block2_conv2/before_relu"]
    for found, name in zip(
        FeatureExtractor(layers, path)(photo()),
        ["block5_conv4", "block2_conv2"],
        strict=True,
    ):
        expected = keras_features(tiny_vgg19, name, photo())
        assert (expected < 0).any() and (expected > 0).any()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_colours_are_bgr_around_the_mean_of_imagenet():
    mean = np.array([123.68, 116.779, 103.939], "float32") / 255
    extract = FeatureExtractor(["vgg19/block1_conv1/before_relu"], weights=None)
    (at_mean,) = extract(np.broadcast_to(mean, (1, 5, 7, 3)))
    np.testing.assert_allclose(at_mean, np.zeros((1, 5, 7, 64)), atol=1e-4)
    (one_level,) = extract(np.broadcast_to(mean + 1 / 255, (1, 5, 7, 3)))
    kernel = np.array(extract._variables[0])
    np.testing.assert_allclose(one_level[0, 2, 3], kernel.sum((0, 1, 2)), atol=1e-3)


def test_all_layers_come_from_one_pass_in_the_requested_order():
    layers = ["vgg16/block3_pool", "relu1_2", "relu3_3/before_relu", "relu3_3"]
    pool, first, before, after = FeatureExtractor(layers, None)(photo(21, 27))
    assert first.shape == (1, 21, 27, 64)
    assert before.shape == (1, 5, 6, 256)
    assert pool.shape == (1, 2, 3, 256)
    np.testing.assert_array_equal(after, np.maximum(before, 0))
    assert np.min(before) < 0
    blocks = np.array(after)[:, :4].reshape(1, 2, 2, 3, 2, 256)
    np.testing.assert_array_equal(pool, blocks.max((2, 4)))


def test_weights_fit_a_keras_model_of_the_same_convolutions():
    extractor = FeatureExtractor(["vgg19/block2_conv1"], weights=None)
    image = keras.Input((None, None, 3))
    x = 255 * image[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")
    for filters in (64, 64):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(128, 3, padding="same", activation="relu")(x)
    model = keras.Model(image, x)
    model.set_weights(extractor.get_weights())
    images = photo(33, 20) / np.float32(255)
    (expected,) = extractor(images)
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-2)


def test_integers_floats_and_grey_images_are_the_same_images():
    extract = FeatureExtractor(["VGG22"], None)
    (expected,) = extract(photo(5, 7))
    (found,) = extract(photo(5, 7) / 255)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    grey = photo(5, 7)[..., :1]
    (expected,) = extract(grey.repeat(3, axis=-1))
    np.testing.assert_array_equal(extract(grey)[0], expected)


def test_features_are_float32_under_mixed_precision():
    class Half(keras.layers.Layer):
        def call(self, inputs):
            return FeatureExtractor(["VGG22"], None)(inputs)[0]

    found = Half(dtype="mixed_bfloat16")(photo(8, 8) / 255)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rounded = tf.cast(photo(8, 8) / 255, "bfloat16")  # as the layer casts it
    (expected,) = FeatureExtractor(["VGG22"], None)(rounded)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("float32", "float32"),
        ("mixed_bfloat16", "bfloat16"),
        ("mixed_float16", "float32"),  # whose range features exceed
    ],
)
def test_convolutions_compute_in_what_the_policy_allows(policy, expected):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        extract = FeatureExtractor(["VGG22"], None)
    finally:
        keras.config.set_dtype_policy(before)
    assert extract.compute_dtype == expected
    (found,) = extract(photo())
    (exact,) = FeatureExtractor(["VGG22"], None)(photo())
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    error = np.abs(found - exact).mean() / np.abs(exact).mean()
    assert error < 0.02 if expected == "bfloat16" else error == 0
    assert (error > 1e-4) == (expected == "bfloat16")


@pytest.mark.parametrize("layer", ["VGG54", "VGG54/before_relu", "vgg19/block4_pool"])
def test_gradients_reach_the_images_and_not_the_weights(layer):
    extract = FeatureExtractor([layer], None)
    x = tf.constant(photo() / 255, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(extract(x)[0])
    gradient = tape.gradient(value, x).numpy()
    assert np.isfinite(gradient).all() and (gradient != 0).mean() > 0.9
    assert not any(variable.trainable for variable in extract._variables)


def test_only_what_the_deepest_layer_needs_is_kept_and_created_once():
    extract = FeatureExtractor(["vgg19/block2_conv1"], None)
    assert extract._variables is None
    first = tf.function(extract)(photo(4, 4) / 255)[0]  # created while a graph is built
    kept = extract._variables
    assert [v.shape[-1] for v in kept] == [64, 64, 64, 64, 128, 128]
    np.testing.assert_allclose(extract(photo(4, 4) / 255)[0], first, rtol=1e-5)
    assert extract._variables is kept


@pytest.mark.parametrize(
    "layers, message",
    [
        (["VGG23"], "'VGG23'"),
        ("VGG23", "'VGG23'"),
        (["block5_conv4"], "must have a name like"),
        (["vgg16/block1_conv3"], "'vgg16/block1_conv3'"),
        (["vgg16/block5_conv4"], "'vgg16/block5_conv4'"),
        (["vgg19/block1_pool/before_relu"], "pool/before_relu'"),
        (["VGG54/after"], "'VGG54/after'"),
        ([None], "None"),
        ([], r"one or more layers.*\[\]"),
        (["VGG22", "relu3_3"], "one network.*VGG22.*relu3_3"),
    ],
)
def test_layers_that_do_not_exist(layers, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(layers)


def test_invalid_images():
    extract = FeatureExtractor(["vgg19/block3_conv1"], None)
    assert extract(photo(4, 5))[0].shape == (1, 1, 1, 256)
    with pytest.raises(ValueError, match="3x48 pixels .* block2_pool of VGG"):
        extract(photo(3))
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(32, 48, 3\)"):
        extract(photo()[0])
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(1, 32, 48, 2\)"):
        extract(photo()[..., :2])


def test_where_weights_are_searched(
    no_weights_available, tiny_vgg19, tmp_path, monkeypatch
):
    def first_value(weights="imagenet"):
        extract = FeatureExtractor(["vgg19/block1_conv1/before_relu"], weights)
        return float(extract(photo(2, 2))[0][0, 0, 0, 0])

    def save(path, factor):
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = tiny_vgg19.get_weights()
        tiny_vgg19.set_weights([factor * weight for weight in weights])
        tiny_vgg19.save_weights(path)
        tiny_vgg19.set_weights(weights)

    save(tmp_path / "one.weights.h5", 1)
    one = first_value(tmp_path / "one.weights.h5")

    save(tmp_path / "vgg19" / "vgg19_imagenet_notop.weights.h5", 2)
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    assert first_value() == pytest.approx(2 * one, rel=1e-4)

    save(tmp_path / "three.weights.h5", 3)
    monkeypatch.setenv("SR_KERAS_VGG19", str(tmp_path / "three.weights.h5"))
    assert first_value() == pytest.approx(3 * one, rel=1e-4)
    assert first_value(str(tmp_path / "one.weights.h5")) == one


def test_files_with_other_contents(tiny_vgg19, tmp_path, monkeypatch):
    path = tmp_path / "vgg.weights.h5"
    with pytest.raises(
        FileNotFoundError, match="VGG weights .*vgg.weights.h5 does not exist"
    ):
        FeatureExtractor(["VGG22"], path)(photo())
    path.write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match="vgg.weights.h5 cannot be read"):
        FeatureExtractor(["VGG22"], path)(photo())
    tiny_vgg19.save_weights(path)
    with pytest.raises(ValueError, match="does not hold the weights of VGG16"):
        FeatureExtractor(["relu1_2"], path)(photo())
    monkeypatch.setenv("SR_KERAS_VGG19", str(tmp_path / "nowhere.h5"))
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        FeatureExtractor(["VGG22"])(photo())


def test_without_network_the_error_says_where_to_put_the_file(no_weights_available):
    start = time.perf_counter()
    with pytest.raises(OSError) as error:
        FeatureExtractor(["VGG22"])(photo())
    assert time.perf_counter() - start < 5
    assert f"http://127.0.0.1:9/vgg19/{KERAS_FILE}" in str(error.value)
    assert f"at {no_weights_available / KERAS_FILE}" in str(error.value)
    assert "SR_KERAS_VGG19" in str(error.value)
    assert list(no_weights_available.iterdir()) == []


def test_a_server_that_does_not_answer_times_out(no_weights_available, monkeypatch):
    monkeypatch.setattr(files, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(features, "_URL", f"http://127.0.0.1:{port}")
        start = time.perf_counter()
        with pytest.raises(OSError, match="could not be downloaded: .*timed out"):
            FeatureExtractor(["VGG22"])(photo())
        assert time.perf_counter() - start < 5


def test_a_damaged_file_of_keras_is_named_and_kept(no_weights_available):
    no_weights_available.mkdir(parents=True)
    path = no_weights_available / KERAS_FILE
    path.write_bytes(b"half of it")
    message = (
        f"{KERAS_FILE} is damaged, .*: its MD5 must be 253f8cb515780f3b799900260a22"
    )
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(["VGG22"])(photo())
    assert path.read_bytes() == b"half of it"


def test_a_download_is_verified(
    no_weights_available, tiny_vgg19, tmp_path, monkeypatch
):
    source = tmp_path / "server" / "vgg19" / KERAS_FILE
    source.parent.mkdir(parents=True)
    tiny_vgg19.save_weights(source.with_suffix(".weights.h5"))
    source.with_suffix(".weights.h5").rename(source)
    monkeypatch.setattr(features, "_URL", (tmp_path / "server").as_uri())
    with pytest.raises(OSError, match="could not be downloaded: .* its MD5 must be"):
        FeatureExtractor(["VGG22"])(photo())
    assert list(no_weights_available.iterdir()) == []

    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    monkeypatch.setitem(features._MD5, "vgg19", md5)
    (found,) = FeatureExtractor(["VGG22"])(photo())
    assert [path.name for path in no_weights_available.iterdir()] == [KERAS_FILE]
    source.unlink()
    np.testing.assert_array_equal(FeatureExtractor(["VGG22"])(photo())[0], found)


def test_variables_are_created_at_construction_within_the_context(tmp_path):
    before = FeatureExtractor(["VGG22"], tmp_path / "missing.h5")
    with features.built_at_once():
        extractor = FeatureExtractor(["VGG22"], weights=None)
        with pytest.raises(FileNotFoundError, match="missing.h5"):
            FeatureExtractor(["VGG22"], tmp_path / "missing.h5")
        with features.built_at_once(False):
            FeatureExtractor(["VGG22"], tmp_path / "missing.h5")
    after = FeatureExtractor(["VGG22"], tmp_path / "missing.h5")
    assert before._variables is None and after._variables is None
    created = extractor._variables
    assert len(created) == 8
    extractor(np.zeros((1, 8, 8, 3), "float32"))
    assert extractor._variables is created


ON_JAX = """
import jax, keras, numpy as np
from sr_keras.features import FeatureExtractor

images = np.random.default_rng(0).random((1, 9, 7, 3), "float32")
extract = FeatureExtractor(["VGG22"], None)

def total(images):
    with keras.StatelessScope():
        return extract(images)[0].sum()

compiled, gradient = jax.jit(jax.value_and_grad(total))(images)
assert np.abs(gradient).min() > 0
lazy = extract(images)[0]
extract.build()
np.testing.assert_allclose(lazy, extract(images)[0], rtol=1e-5)
np.testing.assert_allclose(compiled, lazy.sum(), rtol=1e-5)
print("equal")
"""


@pytest.mark.slow
def test_the_first_call_may_be_inside_a_compiled_function_of_jax():
    pytest.importorskip("jax")
    done = subprocess.run(
        [*preloaded.python("jax"), "-c", ON_JAX],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "equal" in done.stdout, done.stderr[-2000:]
