import keras
import numpy as np
import pytest

from sr_keras.models.rcan import rcan


def test_has_the_parameters_of_the_paper():
    model = rcan(4)
    # 15.6 million: 15,592,379, of which 24 subtract and add a mean colour
    assert model.count_params() == 15_592_379 - 24
    sr = model(np.ones((1, 3, 5, 3), "float32"))
    assert sr.shape == (1, 12, 20, 3)
    assert np.abs(sr).max() < 20  # tens of thousands from Glorot's initializer


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_output_is_scale_times_larger(scale):
    lr = np.zeros((1, 3, 5, 3), "float32")
    sr = rcan(scale, filters=4, num_groups=1, num_blocks=1, reduction=2)(lr)
    assert sr.shape == (1, 3 * scale, 5 * scale, 3)


def test_attention_scales_whole_channels():
    model = rcan(2, filters=4, num_groups=1, num_blocks=1, reduction=2)
    excite = model.get_layer("group_0_block_0_excite")
    kernel, bias = excite.get_weights()
    # sigmoid(-30) = 0 and sigmoid(0) = 1/2, whatever the image
    excite.set_weights([kernel * 0, np.array([-30, 0, -30, 0], "float32")])
    attention = model.get_layer("group_0_block_0_attention")
    block = keras.Model(model.input, [attention.input[0], attention.output])
    x, weighted = block(np.random.default_rng(0).random((1, 3, 5, 3), "float32"))
    assert np.abs(x).max() > 0.01
    np.testing.assert_allclose(weighted, x * np.array([0, 0.5, 0, 0.5]), atol=1e-6)


def test_reduction_must_divide_the_filters():
    with pytest.raises(ValueError, match="multiple.*filters=20, reduction=16"):
        rcan(2, filters=20)
