import numpy as np
import pytest

from sr_keras.models.rdn import rdn


def test_has_the_parameters_of_the_paper():
    model = rdn(2)  # 22 million
    assert model.count_params() == 22_123_395
    sr = model(np.ones((1, 3, 5, 3), "float32"))
    assert sr.shape == (1, 6, 10, 3)
    assert np.abs(sr).max() < 3  # 20 from Glorot's initializer


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_output_is_scale_times_larger(scale):
    lr = np.zeros((1, 3, 5, 3), "float32")
    sr = rdn(scale, filters=4, num_blocks=1, num_convs=1, growth=4)(lr)
    assert sr.shape == (1, 3 * scale, 5 * scale, 3)


def test_the_fusion_sees_every_block_and_a_block_every_convolution():
    model = rdn(2, filters=4, num_blocks=3, num_convs=2, growth=5)
    assert model.get_layer("global_fusion").kernel.shape == (1, 1, 3 * 4, 4)
    assert model.get_layer("block_2_fusion").kernel.shape == (1, 1, 4 + 2 * 5, 4)
    assert model.get_layer("block_2_conv1").kernel.shape == (3, 3, 4 + 5, 5)
