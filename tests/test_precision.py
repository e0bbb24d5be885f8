import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from sr_keras import models, processor
from sr_keras.precision import choose_precision, with_precision


def pretend(monkeypatch, capability=None, cpu_has_bfloat16=False):
    gpus = [] if capability is None else ["gpu"]
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    monkeypatch.setattr(processor, "has_bfloat16", lambda: cpu_has_bfloat16)


@pytest.mark.parametrize(
    ("capability", "cpu_has_bfloat16", "expected"),
    [
        ((9, 0), False, "mixed_bfloat16"),
        ((8, 0), False, "mixed_bfloat16"),
        ((7, 5), False, "mixed_float16"),
        ((6, 1), True, "float32"),
        (None, True, "mixed_bfloat16"),
        (None, False, "float32"),
    ],
)
def test_auto_depends_on_the_machine(
    monkeypatch, capability, cpu_has_bfloat16, expected
):
    pretend(monkeypatch, capability, cpu_has_bfloat16)
    assert choose_precision("auto") == expected
    assert choose_precision("mixed_float16") == "mixed_float16"


class Device:
    def __init__(self, platform, compute_capability=None):
        self.platform = platform
        if compute_capability:
            self.compute_capability = compute_capability


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Device("gpu", "9.0"), "mixed_bfloat16"),
        (Device("gpu", "7.5"), "mixed_float16"),
        (Device("cpu"), "float32"),
    ],
)
def test_auto_asks_jax_without_tensorflow(monkeypatch, device, expected):
    jax = pytest.importorskip("jax")
    pretend(monkeypatch)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert choose_precision("auto") == expected


def test_bfloat16_on_a_cpu_without_units_for_it_gives_a_warning(monkeypatch):
    model = models.espcn(2, filters=(4, 4))
    pretend(monkeypatch)
    for call in (choose_precision, lambda policy: with_precision(model, policy)):
        with pytest.warns(UserWarning, match="10 to 17 times slower on it than float"):
            call("mixed_bfloat16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose_precision("auto")
        choose_precision("mixed_float16")
        pretend(monkeypatch, capability=(8, 0))
        choose_precision("mixed_bfloat16")
        pretend(monkeypatch, cpu_has_bfloat16=True)
        choose_precision("mixed_bfloat16")


def test_an_unknown_policy_is_refused():
    with pytest.raises(
        ValueError, match='"auto", "float32", .*Received: precision=.half'
    ):
        choose_precision("half")
    with pytest.raises(
        ValueError, match='"auto", "float32", .*Received: precision=.half'
    ):
        with_precision(models.nearest(2), "half")


def noise(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def policies(model):
    return {
        layer.name: policies(layer)
        if isinstance(layer, keras.Model)
        else layer.dtype_policy.name
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    }


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.edsr(3, filters=4, num_blocks=1),
        lambda: models.espcn(3, bicubic_skip=True),
        lambda: models.fsrcnn(2),
        lambda: models.lapsrn(4, filters=4),
        lambda: models.on_luma(models.srcnn(2)),
    ],
)
def test_with_precision_is_what_the_builder_makes_under_that_policy(build):
    model = build()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        expected = build()
    finally:
        keras.config.set_dtype_policy("float32")
    expected.set_weights(model.get_weights())

    copied = with_precision(model, "mixed_bfloat16")
    assert policies(copied) == policies(expected)
    assert "mixed_bfloat16" in str(policies(copied))
    lr = noise(1, 9, 8, model.input_shape[-1])
    assert copied(lr).dtype == "float32"
    np.testing.assert_array_equal(copied(lr), expected(lr))
    assert np.abs(copied(lr) - model(lr)).max() > 0
    np.testing.assert_array_equal(with_precision(copied, "float32")(lr), model(lr))


def test_with_precision_leaves_the_model_alone():
    model = models.edsr(2, filters=4, num_blocks=1)
    model.compile("adam", lambda y_true, y_pred: y_true - y_pred)
    copied = with_precision(model, "mixed_bfloat16")
    assert set(policies(model).values()) == {"float32"}
    copied.layers[1].kernel.assign(copied.layers[1].kernel * 0)
    assert np.abs(model.layers[1].kernel).max() > 0


@pytest.mark.filterwarnings("ignore:This CPU has no units")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_copy_of_a_network_is_a_network_with_its_identity(compiled):
    model = models.edsr(2, filters=4, num_blocks=1)
    if compiled:
        model.compile("adam", lambda y_true, y_pred: y_true - y_pred)
    copied = with_precision(model, "mixed_bfloat16")
    assert type(copied) is models.Network
    assert copied.scale == 2
    assert copied.identity == model.identity and copied.identity["network"] == "edsr"
    assert policies(copied)["sr"] == "float32"
    assert policies(copied)["head"] == "mixed_bfloat16"


class Plain(keras.Model):
    """A functional model whose class takes other arguments."""

    def __init__(self, filters):
        inputs = keras.Input((None, None, 3))
        x = layers.Conv2D(filters, 3, padding="same", name="first")(inputs)
        outputs = layers.Conv2D(3, 3, padding="same", name="last")(x)
        super().__init__(inputs, outputs)
        self.filters = filters


def sequential():
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, padding="same", name="first"),
            layers.Conv2D(3, 3, padding="same", name="last"),
        ]
    )


@pytest.mark.filterwarnings("ignore:This CPU has no units")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("build", [sequential, lambda: Plain(4)])
def test_other_classes_of_models_are_copied_as_graphs(build, compiled):
    model = build()
    if compiled:
        model.compile("adam", "mse")
    copied = with_precision(model, "mixed_bfloat16")
    assert policies(copied) == {"first": "mixed_bfloat16", "last": "float32"}
    lr = noise(1, 7, 9, 3)
    np.testing.assert_allclose(copied(lr), model(lr), atol=0.02)


def test_auto_copies_in_the_fastest_precision(monkeypatch):
    pretend(monkeypatch)
    copied = with_precision(models.edsr(2, filters=4, num_blocks=1), "auto")
    assert set(policies(copied).values()) == {"float32"}


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="functional or built sequential"):
        with_precision(Subclassed(), "float32")
