import keras
import numpy as np
import pytest

from sr_keras.models.wdsr import WeightNormalizedConv2D, wdsr


def normal(size, before, after):
    return size * size * before * after + 2 * after  # a gain beside each bias


def test_default_has_the_parameters_of_the_authors_baseline():
    assert wdsr(2).count_params() == 1_190_100


def test_variant_b_is_wider_and_thinner():
    block = normal(1, 32, 192) + normal(1, 192, 25) + normal(3, 25, 32)
    ends = normal(3, 3, 32) + normal(3, 32, 12) + normal(5, 3, 12)
    assert wdsr(2, variant="b").count_params() == 16 * block + ends


@pytest.mark.parametrize("variant", ["a", "b"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_output_is_scale_times_larger(variant, scale):
    lr = np.zeros((1, 5, 7, 3), "float32")
    sr = wdsr(scale, variant=variant, filters=4, num_blocks=1)(lr)
    assert sr.shape == (1, 5 * scale, 7 * scale, 3)


def test_expansion_widens_the_blocks():
    model = wdsr(2, filters=4, num_blocks=1, expansion=7)
    assert model.get_layer("block_0_expand").kernel.shape == (3, 3, 4, 28)


def test_unknown_variants_are_refused():
    with pytest.raises(ValueError, match="must be .a. or .b.. Received: variant='c'"):
        wdsr(2, variant="c")


def test_weight_normalization_is_initialized_as_a_plain_convolution():
    x = np.random.default_rng(0).random((2, 5, 7, 3), "float32")
    layer = WeightNormalizedConv2D(4, 3, padding="same")
    layer.build(x.shape)
    kernel, bias, gain = layer.get_weights()
    plain = keras.layers.Conv2D(4, 3, padding="same")
    plain.build(x.shape)
    plain.set_weights([kernel, bias])
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-6)
    np.testing.assert_allclose(gain, np.linalg.norm(kernel.reshape(-1, 4), axis=0))


def test_weight_normalization_separates_direction_and_norm():
    # the kernel (3, 4) has a norm of 5, so with a gain of 10 the filter is (6, 8)
    layer = WeightNormalizedConv2D(1, 1)
    layer.build((None, None, None, 2))
    kernel = np.reshape([3, 4], (1, 1, 2, 1))
    x = np.reshape([[1.0, 0], [0, 1]], (2, 1, 1, 2))
    for factor in (1, 7):  # only the kernel's direction counts
        layer.set_weights([kernel * factor, np.array([0.5]), np.array([10])])
        np.testing.assert_allclose(np.ravel(layer(x)), [6.5, 8.5], rtol=1e-6)


def test_weight_normalization_of_small_weights_under_float16():
    layer = WeightNormalizedConv2D(1, 1, dtype="mixed_float16")
    layer.build((None, None, None, 2))
    kernel = np.reshape([3e-5, 4e-5], (1, 1, 2, 1))  # their squares are 0 in float16
    layer.set_weights([kernel, np.array([0]), np.array([10])])
    x = np.reshape([[1.0, 0], [0, 1]], (2, 1, 1, 2))
    np.testing.assert_allclose(np.ravel(layer(x)), [6, 8], rtol=0.01)


def test_gains_are_saved(tmp_path):
    model = wdsr(2, filters=4, num_blocks=1)
    for weight in model.trainable_weights:
        weight.assign_add(np.full(weight.shape, 0.3))
    path = tmp_path / "run.weights.h5"
    model.save_weights(path)
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    loaded = wdsr(2, filters=4, num_blocks=1, weights=path)
    np.testing.assert_array_equal(loaded(lr), model(lr))
