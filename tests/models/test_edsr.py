import keras
import numpy as np
import pytest

from sr_keras.models.edsr import edsr


@pytest.mark.parametrize("scale, count", [(2, 1_369_859), (4, 1_517_571)])
def test_baseline_has_the_parameters_of_the_paper(scale, count):
    assert edsr(scale).count_params() == count


def test_large_model_has_the_parameters_of_the_paper():
    model = edsr(4, filters=256, num_blocks=32, residual_scale=0.1)
    assert model.count_params() == 43_089_923


@pytest.mark.parametrize("scale, steps", [(2, [2]), (3, [3]), (8, [2, 2, 2])])
def test_is_initialized_without_checkerboard_artifacts(scale, steps):
    keras.utils.set_random_seed(0)
    model = edsr(scale, filters=4, num_blocks=1)
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    shuffles = [layer for layer in model.layers if "shuffle" in layer.name]
    assert [layer.scale for layer in shuffles] == steps
    for layer in shuffles:
        features = keras.Model(model.input, layer.output)(lr).numpy()
        pixels = features[:, :: layer.scale, :: layer.scale]
        nearest = pixels.repeat(layer.scale, axis=1).repeat(layer.scale, axis=2)
        np.testing.assert_allclose(features, nearest, atol=1e-6)
        assert len(np.unique(pixels)) > 35


def test_residual_branches_are_scaled():
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")

    def body(residual_scale):
        keras.utils.set_random_seed(0)
        model = edsr(2, filters=4, num_blocks=1, residual_scale=residual_scale)
        block = keras.Model(model.input, model.get_layer("block_0_skip").output)
        head = keras.Model(model.input, model.get_layer("head").output)
        return block(lr).numpy() - head(lr).numpy()

    full = body(1.0)
    assert np.abs(full).max() > 0.01
    np.testing.assert_allclose(body(0.1), 0.1 * full, atol=1e-6)
    np.testing.assert_array_equal(body(0.0), 0 * full)


def test_global_skip_adds_the_head():
    model = edsr(2, filters=4, num_blocks=1)
    layer = model.get_layer("body")
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    outputs = [model.get_layer(name).output for name in ("head", "global_skip")]
    head, skip = keras.Model(model.input, outputs)(lr)
    np.testing.assert_array_equal(skip, head)


def test_convolutions_are_initialized_as_in_the_authors_code():
    bound = 1 / np.sqrt(9 * 64)  # of a uniform distribution, PyTorch's default
    model = edsr(2, num_blocks=1)
    for name in ("block_0_conv1", "body", "upsampling_0", "tail"):
        kernel, bias = model.get_layer(name).get_weights()
        assert np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert not bias.any()


def test_there_is_no_batch_normalization():
    layers = edsr(2, filters=4, num_blocks=2).layers
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in layers)


def test_scale_error_lists_the_scales():
    with pytest.raises(
        ValueError, match="`scale` must be 2, 3, 4 or 8. Received: scale=5"
    ):
        edsr(5)


def test_the_mean_colour_is_subtracted_and_added():
    model = edsr(2, filters=4, num_blocks=1, mean_shift=True)
    for layer in model.layers:
        layer.set_weights([0 * value for value in layer.get_weights()])
    lr = np.random.default_rng(0).random((1, 3, 5, 3), "float32")
    expected = np.broadcast_to(np.float32([0.4488, 0.4371, 0.404]), (1, 6, 10, 3))
    np.testing.assert_array_equal(model(lr), expected)
    # an image of this colour is 0 in the first convolution, at the border too
    head = keras.Model(model.input, model.get_layer("head").output)
    model.get_layer("head").set_weights([np.ones((3, 3, 3, 4)), np.zeros(4)])
    np.testing.assert_allclose(head(expected), np.zeros((1, 6, 10, 4)), atol=1e-6)
    grey = edsr(2, filters=4, num_blocks=1, mean_shift=True, channels=1)
    assert grey(lr[..., :1]).shape == (1, 6, 10, 1)
