import keras
import numpy as np
import pytest

from sr_keras.models.rrdb import rrdb


def test_has_the_parameters_of_the_released_network():
    model = rrdb(4)
    assert model.count_params() == 16_697_987
    assert model(np.zeros((1, 1, 2, 3), "float32")).shape == (1, 4, 8, 3)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_output_is_scale_times_larger(scale):
    lr = np.zeros((1, 3, 5, 3), "float32")
    sr = rrdb(scale, filters=4, num_blocks=1, growth=4)(lr)
    assert sr.shape == (1, 3 * scale, 5 * scale, 3)


def test_blocks_with_dense_convolutions_of_zero_scale_their_input():
    model = rrdb(2, filters=4, num_blocks=2, growth=4)
    for layer in model.layers:
        if "dense" in layer.name and layer.get_weights():
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    body = keras.Model(
        model.get_layer("head").output, model.get_layer("block_1_skip").output
    )
    x = np.random.default_rng(0).random((1, 3, 5, 4), "float32")
    # each block adds 0.2 times the output of its dense blocks to its input
    np.testing.assert_allclose(body(x), x * 1.2**2, rtol=1e-6)


def test_dense_convolutions_are_initialized_with_a_tenth_of_he():
    model = rrdb(2, num_blocks=1)
    kernel, _ = model.get_layer("block_0_dense_0_conv4").get_weights()
    he = np.sqrt(2 / (3 * 3 * (64 + 4 * 32)))
    np.testing.assert_allclose(kernel.std(), he / 10, rtol=0.02)


@pytest.mark.parametrize("height, width", [(6, 8), (5, 7), (1, 1)])
def test_unshuffled_network_works_on_tiles(height, width):
    model = rrdb(2, filters=4, num_blocks=1, growth=4, unshuffle=2)
    lr = np.random.default_rng(0).random((1, height, width, 3), "float32")
    assert model(lr).shape == (1, 2 * height, 2 * width, 3)
    head = keras.Model(model.input, model.get_layer("head").output)
    assert head(lr).shape == (1, -(-height // 2), -(-width // 2), 4)
    assert model.get_layer("head").kernel.shape == (3, 3, 12, 4)


def test_scale_and_unshuffle_must_fit():
    assert rrdb(1, filters=4, num_blocks=1, growth=4, unshuffle=4).scale == 1
    for scale, unshuffle in [(1, 1), (3, 2), (4, 4)]:
        message = "must be 2, 3, 4 or 8. Received: scale="
        with pytest.raises(ValueError, match=message):
            rrdb(scale, unshuffle=unshuffle)
