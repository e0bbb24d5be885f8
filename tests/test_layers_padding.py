import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras.layers import CropLike, PadToMultiple


def test_padding_repeats_the_last_row_and_column():
    x = np.array([[1, 2, 3], [4, 5, 6]], "float32")[None, ..., None]
    expected = [[1, 2, 3, 3], [4, 5, 6, 6], [4, 5, 6, 6], [4, 5, 6, 6]]
    np.testing.assert_array_equal(PadToMultiple(4)(x)[0, ..., 0], expected)


def test_padding_reflects_as_often_as_needed():
    x = np.array([[1, 2, 3]], "float32")[None, ..., None]
    padded = PadToMultiple(8, mode="reflect")(x)[0, ..., 0]
    np.testing.assert_array_equal(padded, [[1, 2, 3, 2, 1, 2, 3, 2]] * 8)
    expected = np.pad(np.arange(5), (0, 3), mode="reflect")
    rows = PadToMultiple(8, mode="reflect")(
        np.arange(5, dtype="float32")[None, :, None, None]
    )
    np.testing.assert_array_equal(rows[0, :, 0, 0], expected)


@pytest.mark.parametrize("height, width", [(1, 1), (4, 8), (5, 7), (3, 9)])
def test_crop_removes_the_padding(height, width):
    x = np.random.default_rng(0).random((2, height, width, 3), "float32")
    padded = PadToMultiple(4)(x)
    assert padded.shape == (2, -(-height // 4) * 4, -(-width // 4) * 4, 3)
    np.testing.assert_array_equal(CropLike()([padded, x]), x)


def test_output_shapes_are_static_where_the_input_is():
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


@pytest.mark.parametrize("size, expected", [(1, 8), (7, 8), (8, 8), (9, 12)])
def test_padding_to_a_minimum(size, expected):
    x = np.arange(size, dtype="float32")[None, :, None, None].repeat(3, axis=2)
    layer = PadToMultiple(4, minimum=8)
    padded = layer(x)
    assert padded.shape == (1, expected, 8, 1)
    assert layer.compute_output_shape(x.shape) == padded.shape
    np.testing.assert_array_equal(padded[:, :size, :3], x)
    np.testing.assert_array_equal(
        padded[0, size:, 0, 0], [size - 1] * (expected - size)
    )


def test_configuration_survives():
    layer = PadToMultiple(16, minimum=32, mode="reflect")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (copy.multiple, copy.minimum, copy.mode) == (16, 32, "reflect")


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`multiple` must be .* multiple=0"):
        PadToMultiple(0)
    with pytest.raises(ValueError, match="`minimum` must be a positive .* minimum=0"):
        PadToMultiple(4, minimum=0)
    with pytest.raises(ValueError, match="multiple of `multiple`.* minimum=6, multip"):
        PadToMultiple(4, minimum=6)
    with pytest.raises(ValueError, match='must be "edge" or "reflect". .*mode=\'zero'):
        PadToMultiple(4, mode="zero")
