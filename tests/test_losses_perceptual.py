"""Losses on VGG's features: `Perceptual`, `Content` and `Texture`."""

import json
import pathlib

import keras
import numpy as np
import pytest
import skimage.data
import skimage.filters
import tensorflow as tf

from sr_keras import losses
from sr_keras.features import FeatureExtractor
from sr_keras.losses import Content, Perceptual, Texture, WeightedSum

FIRST, SECOND = "vgg19/block1_conv2", "vgg19/block2_conv1/before_relu"


def pair(height=21, width=27):
    """Returns two photos and noisy copies of them."""
    rng = np.random.default_rng(0)
    y_true = np.stack(
        [
            image[100 : 100 + height, 200 : 200 + width]
            for image in (skimage.data.astronaut(), skimage.data.coffee())
        ]
    )
    y_true = y_true.astype("float32") / 255
    noise = rng.normal(0, np.reshape([0.05, 0.1], (2, 1, 1, 1)), y_true.shape)
    return y_true, (y_true + noise).astype("float32")


def features(images):
    extract = FeatureExtractor([FIRST, SECOND], None)
    return [np.array(x, "float64") for x in extract(images)]


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_content_by_hand(distance):
    y_true, y_pred = pair()
    errors = [np.abs(a - b) for a, b in zip(*map(features, pair()), strict=True)]
    power = {"l1": 1, "l2": 2}[distance]
    first, second = (np.mean(error**power, axis=(1, 2, 3)) for error in errors)
    weights = {FIRST: 2.0, SECOND: 0.5}
    loss = Content(weights, distance, vgg_weights=None, reduction=None)
    np.testing.assert_allclose(loss(y_true, y_pred), 2 * first + second / 2, rtol=1e-3)
    both = Content([FIRST, SECOND], distance, vgg_weights=None, reduction=None)
    np.testing.assert_allclose(both(y_true, y_pred), first + second, rtol=1e-3)
    one = Content(SECOND, distance, vgg_weights=None)
    np.testing.assert_allclose(one(y_true, y_pred), second.mean(), rtol=1e-3)


def test_texture_by_hand():
    y_true, y_pred = pair()
    expected = []
    for true, pred in zip(features(y_true)[0], features(y_pred)[0], strict=True):
        gram_true, gram_pred = (
            sum(np.outer(position, position) for position in x.reshape(-1, 64))
            for x in (true, pred)
        )
        expected.append(np.sum((gram_true - gram_pred) ** 2) / np.sum(gram_true**2))
    loss = Texture({FIRST: 3.0}, vgg_weights=None, reduction=None)
    np.testing.assert_allclose(loss(y_true, y_pred), 3 * np.array(expected), rtol=1e-3)


def test_texture_ignores_positions():
    rng = np.random.default_rng(0)
    y_true = np.tile(rng.random((1, 8, 8, 3)), (1, 4, 4, 1)).astype("float32")
    moved = np.roll(y_true, (3, 2), (1, 2))
    other = np.tile(rng.random((1, 8, 8, 3)), (1, 4, 4, 1)).astype("float32")
    texture, content = Texture(FIRST, None), Content(FIRST, vgg_weights=None)
    assert 10 * texture(y_true, moved) < texture(y_true, other)
    assert 2 * content(y_true, moved) > content(y_true, other)


def test_content_and_texture_share_one_pass(monkeypatch):
    passes = []
    call = FeatureExtractor.__call__

    def counted(self, images):
        passes.append(images.shape)
        return call(self, images)

    monkeypatch.setattr(FeatureExtractor, "__call__", counted)
    y_true, y_pred = pair()
    loss = Perceptual({SECOND: 2}, [FIRST, SECOND], "l1", vgg_weights=None)
    found = loss(y_true, y_pred)
    assert passes == [(2, 21, 27, 3)] * 2
    content = Content({SECOND: 2}, "l1", vgg_weights=None)(y_true, y_pred)
    texture = Texture([FIRST, SECOND], vgg_weights=None)(y_true, y_pred)
    np.testing.assert_allclose(found, content + texture, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        Perceptual("VGG22", {FIRST: 0.5}, "l1", None, name="mine"),
        Content(["VGG22", SECOND], "l1", vgg_weights=None, reduction="sum"),
        Content({FIRST: 0.5}, vgg_weights=pathlib.Path("a.weights.h5")),
        Texture(vgg_weights=None),
        WeightedSum([(1, "l1"), (0.006, Content()), (1, Texture(FIRST, None))]),
    ],
    ids=lambda loss: loss.name,
)
def test_serialization_contains_only_the_configuration(loss):
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    copy = keras.losses.deserialize(config)
    assert type(copy) is type(loss) and copy.name == loss.name
    assert keras.losses.serialize(copy) == keras.losses.serialize(loss)
    assert len(json.dumps(config)) < 3000


def test_a_copy_gives_the_same_loss():
    y_true, y_pred = pair()
    loss = Perceptual({SECOND: 2}, FIRST, "l1", vgg_weights=None)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_array_equal(copy(y_true, y_pred), loss(y_true, y_pred))


def test_a_model_trains_in_mixed_precision_and_is_saved_without_vgg(tmp_path):
    y_true, x = pair(16, 20)
    inputs = keras.Input((None, None, 3))
    layer = keras.layers.Dense(
        3, kernel_initializer="identity", dtype="mixed_bfloat16", name="only"
    )
    model = keras.Model(inputs, layer(inputs))
    perceptual = Perceptual(SECOND, FIRST, vgg_weights=None)
    loss = WeightedSum([(0.0, "l1"), (1e-3, perceptual)])
    model.compile(keras.optimizers.Adam(1e-2), loss=loss, metrics=loss.metrics())
    logs = model.fit(x, y_true, epochs=2, verbose=0).history
    rounded = tf.cast(layer(x), "float32")
    assert perceptual(y_true, layer(x)).dtype == "float32"
    np.testing.assert_allclose(
        perceptual(y_true, layer(x)), perceptual(y_true, rounded), rtol=1e-5
    )
    assert logs["loss"][1] < logs["loss"][0]
    np.testing.assert_allclose(
        logs["loss"], 1e-3 * np.array(logs["perceptual"]), rtol=1e-3
    )

    model.save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 50_000  # VGG has 80 MB
    assert [weight.path for weight in model.weights] == ["only/kernel", "only/bias"]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, y_true, verbose=0) == pytest.approx(
        model.evaluate(x, y_true, verbose=0)
    )


def test_a_model_can_be_loaded_without_the_weights_of_vgg(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Dense(3)])
    model.compile("adam", Content())
    model.save(tmp_path / "model.keras")
    for name in ("SR_KERAS_VGG19", "SR_KERAS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.predict(np.zeros((1, 4, 4, 3)), verbose=0).shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    "loss",
    [Content(SECOND, "l1", None), Content(FIRST, "l2", None), Texture(FIRST, None)],
)
def test_gradient_arrives_and_is_finite_at_the_target(loss):
    y_true, y_pred = pair()
    for images, least in ((y_pred, 0.9), (y_true, 0.0)):
        images = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = loss(y_true, images)
        gradient = tape.gradient(value, images).numpy()
        assert np.isfinite(gradient).all()
        assert (gradient != 0).mean() >= least


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, r"one or more layers.*\[\]"),
        ({"content": "VGG99"}, "must have a name like.*'VGG99'"),
        ({"content": "VGG22", "texture": "relu1_2"}, "of one network.*relu1_2"),
        (
            {"content": "VGG22", "distance": "l3"},
            '"l1" or "l2". Received: distance=\'l3\'',
        ),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Perceptual(**arguments)


def test_invalid_images():
    y_true, y_pred = pair()
    loss = Content(FIRST, vgg_weights=None)
    with pytest.raises(ValueError, match=r"`y_pred` .*\[0, 1\].*: dtype=uint8"):
        loss(y_true, np.uint8(255 * y_pred))
    with pytest.raises(ValueError, match="same shape"):
        loss(y_true, y_pred[..., :1])
    with pytest.raises(ValueError, match="1 or 3 channels"):
        loss(y_true[..., :2], y_pred[..., :2])


def test_a_blur_is_worse_than_a_brightness_change_of_equal_error(data_dir):
    photo = skimage.data.astronaut()[None, 64:128, 192:256] / 255
    blurred = np.stack([skimage.filters.gaussian(photo[0], 1.5, channel_axis=-1)])
    brighter = photo + np.sqrt(np.mean((blurred - photo) ** 2))
    equal = [losses.l2(photo, image)[0] for image in (blurred, brighter)]
    np.testing.assert_allclose(*equal, rtol=1e-4)
    for loss in (Content(), Content("VGG22"), Content("VGG54/before_relu", "l1")):
        assert loss(photo, blurred) > 2 * loss(photo, brighter)
