import keras
import pytest
from keras import layers

from sr_keras import models
from sr_keras.models.catalogue import FRAMEWORKS


@pytest.mark.parametrize("name", models.NETWORKS)
def test_catalogue_has_the_costs_of_the_networks(name):
    entry = models.CATALOGUE[name]
    network = models.fold(models.NETWORKS[name](4))
    assert network.count_params() == entry.parameters
    assert round(models.mult_adds(network, 4) / 1e9, 1) == entry.giga_mult_adds
    assert entry.framework in FRAMEWORKS


def test_mult_adds_equal_a_count_by_hand():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)  # 3*3*3*8 on 5x7 pixels
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)  # 3*3*8*8 on 3x4
    outputs = layers.Conv2DTranspose(3, 4, strides=4, padding="same")(x)  # 4*4*8*3, 3x4
    model = keras.Model(inputs, outputs)
    expected = 216 * 35 + 576 * 12 + 384 * 12
    assert models.mult_adds(model, 2, height=10, width=14) == expected


def test_mult_adds_of_depthwise_and_separable_convolutions():
    inputs = keras.Input((None, None, 3))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(inputs)
    outputs = layers.SeparableConv2D(4, 5, strides=2, padding="same")(x)
    model = keras.Model(inputs, outputs)
    expected = 3 * 3 * 6 * 35 + (5 * 5 * 6 + 6 * 4) * 12
    assert models.mult_adds(model, 2, height=10, width=14) == expected


def test_layers_that_cannot_be_counted_are_refused():
    inputs = keras.Input((None, 7, 3))
    model = keras.Model(
        inputs, layers.EinsumDense("abcd,de->abce", (None, 7, 4))(inputs)
    )
    with pytest.raises(
        ValueError, match="multiply-adds of 'einsum_dense', a EinsumDense, cannot"
    ):
        models.mult_adds(model, 2, height=10, width=14)


def test_networks_that_contain_models_are_refused():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, models.espcn(2, channels=3, name="core")(inputs))
    with pytest.raises(ValueError, match="must not contain other models. .* 'core'"):
        models.mult_adds(model, 2)


def test_mult_adds_need_a_scale():
    with pytest.raises(ValueError, match="`scale` must be a positive .* scale=0"):
        models.mult_adds(models.espcn(2), 0)


def test_mult_adds_of_a_network_with_functions_of_keras_ops():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(3, 3, padding="same")(inputs)  # 3*3*3*3 on 5x7 pixels
    model = keras.Model(inputs, keras.ops.relu(x) + inputs)
    assert models.mult_adds(model, 2, height=10, width=14) == 81 * 35


def test_mult_adds_name_the_remedy_for_a_network_that_can_be_folded():
    network = models.span(2, filters=4, num_blocks=1)
    with pytest.raises(ValueError, match="FoldableConv2D, .* Fold the network first"):
        models.mult_adds(network, 2)
