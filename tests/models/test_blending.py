"""Blending two networks, and how the second is found from the first."""

import keras
import numpy as np
import pytest

from sr_keras import engines, models, weights
from sr_keras.models import blend, edsr, span

SMALL = {"scale": 2, "filters": 4, "num_blocks": 2, "folded": True}


def lr(height=11, width=7):
    return np.random.default_rng(0).random((1, height, width, 3), "float32")


def test_weights_are_interpolated():
    first, second = span(**SMALL), span(**SMALL)
    first.compile("adam", "mae")
    between = blend(first, second, 0.25)
    assert between.name == first.name
    assert type(between) is models.Network
    assert between.identity == first.identity and between.scale == 2
    for a, b, c in zip(
        first.get_weights(), second.get_weights(), between.get_weights(), strict=True
    ):
        np.testing.assert_allclose(c, 0.75 * a + 0.25 * b, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(blend(first, second, 0)(lr()), first(lr()))
    np.testing.assert_array_equal(blend(first, second, 1)(lr()), second(lr()))
    assert not np.allclose(first(lr()), second(lr()))


def test_networks_with_a_loss_of_the_users_own_are_blended():
    class Loss(keras.losses.Loss):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def call(self, y_true, y_pred):
            return self.weight * (y_true - y_pred) ** 2

    first, second = span(**SMALL), span(**SMALL)
    first.compile("adam", Loss(2.0))
    between = blend(first, second, 1)
    assert between.scale == 2 and not between.compiled
    np.testing.assert_array_equal(between(lr()), second(lr()))


def test_networks_that_do_not_fit():
    network = span(**SMALL)
    message = "`amount` must be from 0 to 1. Received: amount="
    for amount in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match=message):
            blend(network, network, amount)
    other = edsr(2, filters=4, num_blocks=2)
    with pytest.raises(ValueError, match=r"same architecture. .* span\(.* and edsr\("):
        blend(network, other, 0.5)
    # of equal shapes, but of another function
    scaled = edsr(2, filters=4, num_blocks=2, residual_scale=0.1)
    with pytest.raises(ValueError, match="residual_scale=1.0.*residual_scale=0.1"):
        blend(other, scaled, 0.5)


@pytest.fixture
def gan(tmp_path, monkeypatch):
    """Two shipped sets, of which the second began from the first."""
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    first, second = span(**SMALL), span(**SMALL)
    weights.save(first, tmp_path / "span-x2-real.weights.h5", history={"recipe": {}})
    trained = {"recipe": {"kind": "gan", "weights": "real"}}
    weights.save(second, tmp_path / "span-x2-realgan.weights.h5", history=trained)
    return first, second


def test_the_start_of_a_training_is_named_in_its_history(gan, tmp_path):
    first = tmp_path / "span-x2-real.weights.h5"
    assert weights.start("span-x2-realgan") == first
    assert weights.start(tmp_path / "span-x2-realgan.weights.h5") == first
    assert weights.start("span-x2-real") is None
    # a recipe may name the whole set, or a file
    for named in ("span-x2-real", str(first)):
        path = tmp_path / "mine.weights.h5"
        weights.save(gan[1], path, history={"recipe": {"weights": named}})
        assert weights.start(path) == first
    weights.save(gan[1], path)
    assert weights.start(path) is None
    weights.save(gan[1], path, history={"recipe": {"weights": "gone.weights.h5"}})
    with pytest.raises(FileNotFoundError, match="began from the weights 'gone.weig"):
        weights.start(path)


def test_networks_are_loaded_with_less_detail(gan):
    first, second = gan
    for detail, expected in ((0, first), (1, second), (0.5, blend(*gan, 0.5))):
        network = models.load("span-x2-realgan", detail=detail)
        np.testing.assert_array_equal(network(lr()), expected(lr()))
    for name in ("span-x2-real", "bicubic"):
        message = f"another set, as those of span-x2-realgan. {name} names none."
        with pytest.raises(ValueError, match=message):
            models.load(name, 2, detail=0.5)
    with pytest.raises(ValueError, match="from 0 to 1. Received: detail=2"):
        models.load("span-x2-realgan", detail=2)


def test_engines_keep_a_file_for_each_blend(gan, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("tf2onnx")
    cache = tmp_path / "cache"
    for detail in (0.25, 0.75, 0.25):
        network = models.load("span-x2-realgan", detail=detail)
        engine = engines.Engine(network, "openvino", cache=cache)
        np.testing.assert_allclose(engine(lr()), network(lr()), atol=1e-4)
    assert len(list(cache.glob("*.onnx"))) == 2


def test_all_shipped_starts_are_found():
    names = [name for name in weights.all_names() if weights.start(name)]
    assert {"edsr-x4-bsds-srgan", "edsr-x4-photos-srgan"} <= set(names)
    for name in names:
        kept = weights.start(name)
        assert kept.parent == weights.FOLDER
        assert (
            weights.identity(kept)["network"]
            == weights.identity(weights.find(name))["network"]
        )
