import keras
import numpy as np
import pytest

from sr_keras import models, weights
from sr_keras.models import span
from sr_keras.models.span import FoldableConv2D


def random_weights(model):
    rng = np.random.default_rng(0)
    model.set_weights([0.2 * rng.standard_normal(w.shape) for w in model.weights])


def test_parameters_of_the_paper_and_of_its_authors_smaller_network():
    assert span(4, folded=True).count_params() == 498_208
    # 18 + 2 convolutions of 48 to 48, and 3 to 48; 1x1 of 4 * 48; 48 to 3 * 16
    expected = 19 * (9 * 48 * 48 + 48) + (9 * 3 * 48 + 48) + (4 * 48 * 48 + 48)
    expected += 9 * 48 * 48 + 48
    assert span(4, filters=48, folded=True).count_params() == expected == 426_288


def test_a_foldable_convolution_is_the_chain_of_its_factors():
    layer = FoldableConv2D(5, gain=2)
    x = np.random.default_rng(1).standard_normal((2, 6, 7, 3)).astype("float32")
    layer(x)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.weights])
    (k1, b1), (k2, b2), (k3, b3), (k4, b4) = (
        [np.array(w) for w in pair]
        for pair in (layer.widen, layer.work, layer.narrow, layer.skip)
    )
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # the border is widened too, with its bias, as in the authors' code
    wide = padded @ k1 + b1
    worked = keras.ops.conv(wide, k2, padding="valid", data_format="channels_last")
    expected = (np.array(worked) + b2) @ k3 + b3 + x @ k4 + b4
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-3)
    assert layer.compute_output_shape((2, 6, 7, 3)) == (2, 6, 7, 5)


@pytest.mark.parametrize("name", ["filters", "gain"])
def test_a_foldable_convolution_refuses_what_is_not_a_count(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
        FoldableConv2D(**{"filters": 4, name: 0})


def test_folding_leaves_the_output_as_it_is(tmp_path):
    network = span(2, filters=6, num_blocks=2)
    random_weights(network)
    folded = models.fold(network)
    assert folded.identity["config"]["folded"] is True
    assert folded.scale == 2
    assert not any(isinstance(layer, FoldableConv2D) for layer in folded.layers)
    lr = np.random.default_rng(2).random((1, 9, 7, 3), "float32")
    expected = np.array(network(lr))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(folded(lr) / scale, expected / scale, atol=1e-5)
    assert models.fold(folded) is folded
    plain = models.espcn(2)
    assert models.fold(plain) is plain
    weights.save(folded, tmp_path / "folded.weights.h5")
    loaded = models.load(tmp_path / "folded.weights.h5")
    np.testing.assert_array_equal(loaded(lr), folded(lr))
    with pytest.raises(ValueError, match="folded=True.*do not fit.*folded=False"):
        span(2, filters=6, num_blocks=2, weights=tmp_path / "folded.weights.h5")


def test_attention_is_the_sigmoid_less_one_half():
    network = span(2, filters=4, num_blocks=1)
    random_weights(network)
    names = ("block_0_conv3", "head", "block_0_gated")
    inside = keras.Model(network.input, [network.get_layer(n).output for n in names])
    lr = np.random.default_rng(3).random((1, 5, 6, 3), "float32")
    x, skip, gated = map(np.array, inside(lr))
    expected = (x + skip) * (1 / (1 + np.exp(-x)) - 0.5)
    np.testing.assert_allclose(gated, expected, rtol=1e-4, atol=1e-5)
