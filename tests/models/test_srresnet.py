import numpy as np
import pytest

from sr_keras.models.srresnet import srresnet


def test_has_the_parameters_of_the_paper():
    model = srresnet(4)
    head = 9 * 9 * 3 * 64 + 64 + 64  # with its PReLU
    block = 2 * (3 * 3 * 64 * 64 + 2 * 64) + 64  # two convolutions and norms, a PReLU
    body = 3 * 3 * 64 * 64 + 2 * 64
    upsampling = 2 * (3 * 3 * 64 * 256 + 256 + 64)
    tail = 9 * 9 * 64 * 3 + 3
    expected = head + 16 * block + body + upsampling + tail
    assert sum(w.numpy().size for w in model.trainable_weights) == expected
    assert round(expected, -5) == 1_500_000


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_output_is_scale_times_larger(scale):
    lr = np.zeros((1, 3, 5, 3), "float32")
    sr = srresnet(scale, filters=4, num_blocks=1)(lr)
    assert sr.shape == (1, 3 * scale, 5 * scale, 3)


def test_slopes_are_shared_over_space():
    model = srresnet(2, filters=4, num_blocks=1)
    slopes = [w for w in model.weights if w.path.endswith("alpha")]
    assert [w.shape for w in slopes] == [(1, 1, 4)] * 3
    np.testing.assert_array_equal(slopes[0], np.full((1, 1, 4), 0.25))


def test_output_is_linear():
    model = srresnet(2, filters=4, num_blocks=1)
    tail = model.get_layer("tail")
    kernel, bias = tail.get_weights()
    tail.set_weights([kernel * 0, bias + 7])
    lr = np.zeros((1, 3, 5, 3), "float32")
    np.testing.assert_array_equal(model(lr), np.full((1, 6, 10, 3), 7))


def test_scale_error_lists_the_scales():
    with pytest.raises(ValueError, match="must be 2, 3, 4 or 8. Received: scale=1"):
        srresnet(1)


def test_modified_variant_adds_the_bilinear_interpolation():
    model = srresnet(2, filters=4, num_blocks=2, variant="modified")
    assert not any("norm" in layer.name for layer in model.layers)
    tail = model.get_layer("tail")
    tail.set_weights([0 * value for value in tail.get_weights()])
    lr = np.array([[0.0, 1.0]], "float32")[None, ..., None].repeat(3, axis=-1)
    line = [0, 0.25, 0.75, 1]
    np.testing.assert_allclose(model(lr)[0, :, :, 1], [line, line], atol=1e-6)


def test_variants_are_checked():
    with pytest.raises(ValueError, match='must be "paper" or "modified". .*variant=1'):
        srresnet(2, variant=1)
