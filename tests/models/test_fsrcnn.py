import numpy as np
import pytest

from sr_keras.models.fsrcnn import fsrcnn


@pytest.mark.parametrize("d, s, m, count", [(56, 12, 4, 12_464), (32, 5, 1, 3_937)])
@pytest.mark.parametrize("scale", [2, 4])
def test_has_the_parameters_of_the_paper(d, s, m, count, scale):
    assert count == 25 * d + s * d + 9 * m * s**2 + d * s + 81 * d
    model = fsrcnn(scale, num_features=d, num_shrunk=s, num_mappings=m)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert sum(w.numpy().size for w in kernels) == count
    slopes = biases = d + s + m * s + d
    assert model.count_params() == count + biases + 1 + slopes


def test_defaults_are_the_papers_network_for_luma():
    assert fsrcnn(3).count_params() == fsrcnn(3, 56, 12, 4).count_params() == 12_809
    assert fsrcnn(3).input_shape == (None, None, None, 1)


def test_each_channel_has_a_slope_initialized_to_a_quarter():
    model = fsrcnn(2, num_features=3, num_shrunk=2, num_mappings=1)
    slopes = [w.numpy() for w in model.weights if w.path.endswith("alpha")]
    assert [slope.shape[-1] for slope in slopes] == [3, 2, 2, 3]
    assert {value for slope in slopes for value in slope.flat} == {0.25}


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upscales_only_at_the_end(scale):
    model = fsrcnn(scale, num_features=3, num_shrunk=2, num_mappings=1)
    *features, last, _ = model.layers
    shape = (1, 5, 7, 1)
    assert last.name == "deconvolution"
    assert features[-1].compute_output_shape((1, 5, 7, 3)) == (1, 5, 7, 3)
    assert model.compute_output_shape(shape) == (1, 5 * scale, 7 * scale, 1)


def test_first_outputs_are_near_zero():
    lr = np.random.default_rng(0).random((1, 5, 7, 1), "float32")
    assert np.abs(fsrcnn(3)(lr)).max() < 0.1
