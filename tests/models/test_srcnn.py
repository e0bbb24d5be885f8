import numpy as np
import pytest

from sr_keras.models.interpolation import bicubic
from sr_keras.models.srcnn import srcnn


@pytest.mark.parametrize("sizes, count", [((9, 1, 5), 8_032), ((9, 5, 5), 57_184)])
def test_has_the_parameters_of_the_paper(sizes, count):
    model = srcnn(3, kernel_sizes=sizes)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert sum(w.numpy().size for w in kernels) == count
    assert model.count_params() == count + 64 + 32 + 1  # with the biases


def test_defaults_are_the_papers_network_for_luma():
    assert srcnn(2).count_params() == srcnn(2, kernel_sizes=(9, 5, 5)).count_params()
    assert srcnn(2).input_shape == (None, None, None, 1)


@pytest.mark.parametrize("scale", [1, 3])
def test_corrects_the_interpolated_image(scale):
    model = srcnn(scale, filters=(1, 1))
    for name, size, factor, bias in [
        ("extraction", 9, 1, -0.1),
        ("mapping", 5, -1, 0.5),
        ("reconstruction", 5, 1, -0.3),
    ]:
        kernel = np.zeros((size, size, 1, 1))
        kernel[size // 2, size // 2] = factor
        model.get_layer(name).set_weights([kernel, np.array([bias])])
    lr = np.random.default_rng(0).random((1, 5, 7, 1), "float32")
    features = np.maximum(bicubic(scale, channels=1)(lr) - 0.1, 0)
    expected = np.maximum(0.5 - features, 0) - 0.3
    assert len(np.unique(expected)) > 10
    np.testing.assert_allclose(model(lr), expected, atol=1e-6)


def test_lists_need_a_number_for_each_layer():
    with pytest.raises(ValueError, match="`kernel_sizes` must be a list of 3 positive"):
        srcnn(2, kernel_sizes=(9, 5))
    with pytest.raises(ValueError, match="`filters` must be a list of 2 positive"):
        srcnn(2, filters=(64, 32, 16))
