import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras.layers import CropLike, PadToMultiple


def test_padding_repeats_the_lower_and_right_border():
    x = np.array([[1, 2, 3], [4, 5, 6]], "float32")[None, ..., None]
    expected = [[1, 2, 3, 3], [4, 5, 6, 6], [4, 5, 6, 6], [4, 5, 6, 6]]
    np.testing.assert_array_equal(PadToMultiple(4)(x)[0, ..., 0], expected)


@pytest.mark.parametrize("height, width", [(1, 1), (4, 8), (5, 7), (3, 9)])
def test_crop_takes_the_padding_off(height, width):
    x = np.random.default_rng(0).random((2, height, width, 3), "float32")
    padded = PadToMultiple(4)(x)
    assert padded.shape == (2, -(-height // 4) * 4, -(-width // 4) * 4, 3)
    np.testing.assert_array_equal(CropLike()([padded, x]), x)


def test_shapes_are_known_as_far_as_the_input_is():
    pad, crop = PadToMultiple(8), CropLike()
    assert pad.compute_output_shape((None, None, 17, 3)) == (None, None, 24, 3)
    shapes = [(None, 24, 24, 5), (None, 17, None, 3)]
    assert crop.compute_output_shape(shapes) == (None, 17, None, 5)


def test_one_graph_pads_and_crops_all_sizes():
    spec = tf.TensorSpec((None, None, None, 1))

    @tf.function(input_signature=[spec])
    def there_and_back(x):
        padded = PadToMultiple(4)(x)
        return padded, CropLike()([padded, x])

    for height, width in [(5, 7), (1, 1), (4, 2)]:
        x = np.random.default_rng(0).random((1, height, width, 1), "float32")
        padded, back = there_and_back(x)
        assert padded.shape[1] % 4 == padded.shape[2] % 4 == 0
        np.testing.assert_array_equal(back, x)


def test_configuration_survives():
    layer = PadToMultiple(16)
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.multiple == 16
