import keras
import numpy as np
import pytest

from sr_keras.models import INTERPOLATIONS
from sr_keras.models.interpolation import bicubic, bilinear, nearest

every = pytest.mark.parametrize("method", INTERPOLATIONS)


@pytest.fixture
def lr():
    return np.random.default_rng(0).random((2, 5, 7, 3), "float32")


def bilinear_by_hand(image, scale):
    """Bilinear interpolation of `(height, width, channels)`, as a plain loop."""
    height, width = image.shape[:2]
    result = np.zeros((height * scale, width * scale, image.shape[2]))
    for y in range(height * scale):
        for x in range(width * scale):
            # pixel centres lie at halves
            source_y = np.clip((y + 0.5) / scale - 0.5, 0, height - 1)
            source_x = np.clip((x + 0.5) / scale - 0.5, 0, width - 1)
            top, left = int(source_y), int(source_x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dy, dx = source_y - top, source_x - left
            result[y, x] = (1 - dy) * (
                (1 - dx) * image[top, left] + dx * image[top, right]
            ) + dy * ((1 - dx) * image[bottom, left] + dx * image[bottom, right])
    return result


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_nearest_repeats_pixels(lr, scale):
    expected = lr.repeat(scale, axis=1).repeat(scale, axis=2)
    np.testing.assert_array_equal(nearest(scale)(lr), expected)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_bilinear_equals_the_plain_loop(lr, scale):
    expected = bilinear_by_hand(lr[0], scale)
    np.testing.assert_allclose(bilinear(scale)(lr)[0], expected, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_reproduces_a_ramp(scale):
    ramp = np.arange(9, dtype="float32")[None, :, None, None].repeat(4, axis=2)
    sr = bicubic(scale, channels=1)(ramp).numpy()[0, :, 0, 0]
    expected = (np.arange(9 * scale) + 0.5) / scale - 0.5
    inner = slice(2 * scale, -2 * scale)
    np.testing.assert_allclose(sr[inner], expected[inner], rtol=1e-5)


def test_bicubic_weights_of_x2_equal_those_computed_by_hand():
    row = np.array([0, 0, 0, 1, 0, 0, 0], "float32")[None, None, :, None]
    sr = bicubic(2, channels=1)(row).numpy()[0, 0, :, 0]
    # the kernel at distances of 1.75, 1.25, 0.75, 0.25, ...
    near, far = [29, 111], [-3, -9]
    expected = [0, 0, *far, *near, *near[::-1], *far[::-1], 0, 0]
    np.testing.assert_allclose(sr[1:-1], np.array(expected) / 128, atol=1e-6)


@every
@pytest.mark.parametrize("height, width", [(5, 7), (1, 1), (1, 6)])
def test_constant_images_stay_constant_up_to_the_border(method, height, width):
    image = np.full((1, height, width, 1), 0.3, "float32")
    sr = INTERPOLATIONS[method](3, channels=1)(image)
    assert sr.shape == (1, 3 * height, 3 * width, 1)
    np.testing.assert_allclose(sr, 0.3, rtol=1e-6)


@every
def test_output_is_float32_under_mixed_precision(method, lr):
    expected = INTERPOLATIONS[method](2)(lr)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        sr = INTERPOLATIONS[method](2)(lr)
    finally:
        keras.config.set_dtype_policy(before)
    assert sr.dtype == "float32"
    np.testing.assert_array_equal(sr, expected)


@every
def test_survives_a_round_trip_in_safe_mode(method, lr, tmp_path):
    model = INTERPOLATIONS[method](3)
    assert model.name == method
    assert model.weights == []
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(lr), model(lr))


@every
@pytest.mark.parametrize("scale", [0, 1.5])
def test_wrong_scales_are_refused(method, scale):
    message = f"`scale` must be a positive integer. Received: scale={scale}"
    with pytest.raises(ValueError, match=message):
        INTERPOLATIONS[method](scale)
