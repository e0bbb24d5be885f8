import keras
import numpy as np
import pytest

from sr_keras.models.interpolation import bicubic
from sr_keras.models.unet import unet


def photo(height, width):
    return np.random.default_rng(0).random((1, height, width, 3), "float32")


def conv(size, before, after):
    return size * size * before * after + after


def test_has_the_parameters_of_the_paper():
    down = [3, 64, 128, 256, 512, 1024]
    expected = conv(1, 64, 3)
    for before, after in zip(down[:-1], down[1:], strict=True):
        expected += conv(3, before, after) + conv(3, after, after)
    for after in (512, 256, 128, 64):
        # up, then two convolutions on it and the skip together
        expected += conv(2, 2 * after, after)
        expected += conv(3, 2 * after, after) + conv(3, after, after)
    assert expected == 31_031_875
    assert unet(1).count_params() == expected


def test_takes_any_size():
    model = unet(3, filters=2)
    for height, width in [(5, 7), (1, 1), (16, 17)]:
        assert model(photo(height, width)).shape == (1, height * 3, width * 3, 3)


def test_pads_by_repeating_the_border():
    model = unet(1, filters=2, num_levels=4)
    image = photo(5, 7)
    padded = np.pad(image, [(0, 0), (0, 3), (0, 1), (0, 0)], mode="edge")  # 8x8
    np.testing.assert_array_equal(model(image), model(padded)[:, :5, :7])


@pytest.mark.parametrize("residual", [False, True])
def test_residual_adds_the_interpolated_image(residual):
    model = unet(2, filters=2, num_levels=2, residual=residual)
    tail = model.get_layer("tail")
    tail.set_weights([np.zeros_like(w) for w in tail.get_weights()])
    lr = photo(5, 7)
    expected = bicubic(2)(lr) if residual else np.zeros((1, 10, 14, 3))
    np.testing.assert_array_equal(model(lr), expected)


def test_batch_norm_follows_every_3x3_convolution():
    model = unet(1, filters=2, num_levels=3, batch_norm=True)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    convs = [x for x in model.layers if "_conv" in x.name]
    assert len(norms) == len(convs) == 10
    assert not any(layer.use_bias for layer in convs)
    assert not any("norm" in layer.name for layer in unet(1, filters=2).layers)
