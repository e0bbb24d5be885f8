import numpy as np
import pytest

from sr_keras.models.interpolation import bicubic
from sr_keras.models.srcnn import srcnn


@pytest.mark.parametrize("sizes, count", [((9, 1, 5), 8_032), ((9, 5, 5), 57_184)])
def test_has_the_weights_of_the_paper(sizes, count):
    model = srcnn(3, kernel_sizes=sizes)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert sum(w.numpy().size for w in kernels) == count
    assert model.count_params() == count + 64 + 32 + 1  # with the biases


def test_defaults_are_the_network_on_luma():
    assert srcnn(2).count_params() == srcnn(2, kernel_sizes=(9, 5, 5)).count_params()
    assert srcnn(2).input_shape == (None, None, None, 1)


@pytest.mark.parametrize("scale", [1, 3])
def test_corrects_the_interpolated_image(scale):
    model = srcnn(scale, filters=(1, 1))
    for name, size in [("extraction", 9), ("mapping", 5), ("reconstruction", 5)]:
        kernel = np.zeros((size, size, 1, 1))
        kernel[size // 2, size // 2] = 1  # hands on what comes
        model.get_layer(name).set_weights([kernel, np.zeros(1)])
    lr = np.random.default_rng(0).random((1, 5, 7, 1), "float32")
    interpolated = bicubic(scale, channels=1)(lr)
    np.testing.assert_allclose(model(lr), np.maximum(interpolated, 0), atol=1e-6)


def test_the_last_layer_may_be_negative():
    model = srcnn(2, filters=(4, 4))
    kernel, _ = model.get_layer("reconstruction").get_weights()
    model.get_layer("reconstruction").set_weights([0 * kernel, np.array([-0.3])])
    lr = np.ones((1, 3, 4, 1), "float32")
    np.testing.assert_allclose(model(lr), np.full((1, 6, 8, 1), -0.3), rtol=1e-6)
