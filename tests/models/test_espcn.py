import keras
import numpy as np
import pytest

from sr_keras.models.espcn import espcn
from sr_keras.models.interpolation import bicubic


@pytest.fixture
def lr():
    return np.random.default_rng(0).random((1, 5, 7, 1), "float32")


@pytest.mark.parametrize("scale, count", [(2, 21_184), (3, 22_624), (4, 24_640)])
def test_has_the_parameters_of_the_paper(scale, count):
    assert count == 25 * 64 + 9 * 64 * 32 + 9 * 32 * scale**2
    assert espcn(scale).count_params() == count + 64 + 32 + scale**2


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_is_initialized_without_checkerboard_artifacts(lr, scale):
    sr = espcn(scale, filters=(4, 4))(lr).numpy()
    pixels = sr[:, ::scale, ::scale]
    nearest = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    np.testing.assert_array_equal(sr, nearest)
    assert len(np.unique(pixels)) == 35


@pytest.mark.parametrize("scale", [1, 3])
def test_is_bicubic_with_a_residual_of_zero(lr, scale):
    model = espcn(scale, filters=(4, 4), bicubic_skip=True)
    assert (model(lr) != bicubic(scale, channels=1)(lr)).numpy().any()
    layer = model.get_layer("subpixels")
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    np.testing.assert_array_equal(model(lr), bicubic(scale, channels=1)(lr))


def test_activation_is_used_in_the_hidden_layers_only(lr):
    hidden = ("features", "mapping")
    for activation in ("tanh", "relu"):
        model = espcn(2, filters=(4, 4), activation=activation)
        function = keras.activations.get(activation)
        assert all(model.get_layer(name).activation is function for name in hidden)
        assert model.get_layer("subpixels").activation is keras.activations.linear
    assert espcn(2, filters=(4, 4)).get_layer("mapping").activation is not function


def test_wrong_arguments_are_refused():
    with pytest.raises(
        ValueError, match="`filters` must be a list of 2 positive integers"
    ):
        espcn(2, filters=(64, 64, 32))
    with pytest.raises(ValueError, match="numbers, strings, .* activation=<function"):
        espcn(2, activation=keras.activations.gelu)
    with pytest.raises(ValueError, match="name of an activation. .*activation=5"):
        espcn(2, activation=5)
