import numpy as np
import pytest

from sr_keras.models.interpolation import bicubic
from sr_keras.models.vdsr import vdsr


def test_has_the_parameters_of_the_paper():
    model = vdsr(2)
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
    assert len(kernels) == 20
    assert sum(w.numpy().size for w in kernels) == 664_704
    assert model.count_params() == 664_704 + 19 * 64 + 1  # with the biases


@pytest.mark.parametrize("scale", [1, 3])
def test_is_bicubic_with_a_residual_of_zero(scale):
    model = vdsr(scale, filters=4, num_layers=3)
    residual = model.get_layer("residual")
    residual.set_weights([np.zeros_like(w) for w in residual.get_weights()])
    lr = np.random.default_rng(0).random((1, 5, 7, 1), "float32")
    np.testing.assert_array_equal(model(lr), bicubic(scale, channels=1)(lr))


def test_one_set_of_weights_serves_several_scales():
    small, large = (vdsr(scale, filters=4, num_layers=3) for scale in (2, 4))
    large.set_weights(small.get_weights())
    lr = np.ones((1, 5, 7, 1), "float32")
    # far from the border, both see a constant image
    np.testing.assert_allclose(large(lr)[0, 10, 14], small(lr)[0, 5, 7], rtol=1e-5)
