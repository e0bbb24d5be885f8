import keras
import pytest
from keras import layers

from sr_keras import models
from sr_keras.models.catalogue import FRAMEWORKS


@pytest.mark.parametrize("name", models.NETWORKS)
def test_what_the_catalogue_notes(name):
    entry = models.CATALOGUE[name]
    network = models.NETWORKS[name](4)
    assert network.count_params() == entry.parameters
    assert round(models.mult_adds(network, 4) / 1e9, 1) == entry.giga_mult_adds
    assert entry.framework in FRAMEWORKS


def test_mult_adds_counted_by_hand():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)  # 3*3*3*8 on 5x7 pixels
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)  # 3*3*8*8 on 3x4
    outputs = layers.Conv2DTranspose(3, 4, strides=4, padding="same")(x)  # 4*4*8*3, 3x4
    model = keras.Model(inputs, outputs)
    expected = 216 * 35 + 576 * 12 + 384 * 12
    assert models.mult_adds(model, 2, height=10, width=14) == expected
