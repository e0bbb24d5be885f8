import keras
import numpy as np
import pytest

from sr_keras import images
from sr_keras.models.espcn import espcn
from sr_keras.models.interpolation import bicubic, nearest
from sr_keras.models.on_luma import on_luma


@pytest.fixture
def lr():
    return np.random.default_rng(0).random((2, 5, 7, 3), "float32")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_bicubic_on_luma_equals_bicubic_on_rgb(lr, scale):
    sr = on_luma(bicubic(scale, channels=1))(lr)
    np.testing.assert_allclose(sr, bicubic(scale)(lr), atol=5e-6)


def test_luma_is_upscaled_by_the_network_and_chroma_by_bicubic(lr):
    ycbcr = images.rgb_to_ycbcr(lr)
    result = images.rgb_to_ycbcr(on_luma(nearest(2, channels=1))(lr).numpy())
    luma = ycbcr[..., :1].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(result[..., :1], luma, atol=1e-5)
    chroma = bicubic(2, channels=2)(ycbcr[..., 1:])
    np.testing.assert_allclose(result[..., 1:], chroma, atol=1e-5)


def test_grey_images_stay_grey(lr):
    grey = lr[..., :1].repeat(3, axis=-1)
    sr = on_luma(espcn(2, filters=(4, 4)))(grey).numpy()
    np.testing.assert_allclose(sr[..., 0], sr[..., 1], atol=1e-5)
    np.testing.assert_allclose(sr[..., 0], sr[..., 2], atol=1e-5)


def test_weights_are_shared(lr):
    core = espcn(2, filters=(4, 4))
    model = on_luma(core)
    assert model.name == "espcn"
    assert on_luma(core, name="colour").name == "colour"
    assert model.count_params() == core.count_params()
    before = model(lr)
    core.set_weights([2 * weight for weight in core.get_weights()])
    assert (model(lr) != before).numpy().any()


def test_survives_a_round_trip_in_safe_mode(lr, tmp_path):
    model = on_luma(espcn(3, filters=(4, 4)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(lr), model(lr))
    assert loaded.scale == 3


def test_colours_stay_float32_under_mixed_precision(lr):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        sr = on_luma(bicubic(2, channels=1))(lr)
    finally:
        keras.config.set_dtype_policy(before)
    assert sr.dtype == "float32"
    np.testing.assert_allclose(sr, bicubic(2)(lr), atol=5e-6)


def test_networks_for_rgb_are_refused():
    message = r"one output channel. Received: input .* 3\), output .* 3\)"
    with pytest.raises(ValueError, match=message):
        on_luma(bicubic(2))


def test_core_of_unknown_scale_is_refused():
    inputs = keras.Input((None, None, 1))
    core = keras.Model(inputs, keras.layers.Cropping2D(1)(inputs), name="core")
    with pytest.raises(ValueError, match="The scale of 'core' is unknown"):
        on_luma(core)
