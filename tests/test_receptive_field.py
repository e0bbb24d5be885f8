import sys
import time

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny_networks import NETWORKS, tiny

from sr_keras import models
from sr_keras.inference import upscale
from sr_keras.layers import BicubicUpsampling, CropLike, PadToMultiple, PixelShuffle
from sr_keras.precision import with_precision
from sr_keras.receptive_field import (
    ReceptiveField,
    from_graph,
    measure,
    receptive_field,
)


def network(*parts, channels=3):
    """A functional model of layers, one after the other."""
    x = inputs = keras.Input((None, None, channels))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def conv(kernel, filters=3, **kwargs):
    return layers.Conv2D(filters, kernel, **{"padding": "same", **kwargs})


def transposed(kernel, stride, padding="same"):
    return layers.Conv2DTranspose(3, kernel, stride, padding=padding)


# RCAN weights its channels by means over the whole image, RLFN samples its attention at
# places that depend on the size of the image, and the windows of SwinIR begin at its
# top left.
UNBOUNDED = ("rcan", "rlfn", "swinir")

# Each with the halo and step that were counted by hand.
COUNTED = {
    "three convolutions": (network(conv(3), conv(5), conv(1)), 1 + 2, 1),
    "an even kernel looks further to the right": (network(conv(4)), 2, 1),
    "dilations": (network(conv(3, dilation_rate=4)), 4, 1),
    "another kernel for each axis": (network(conv((7, 3))), 3, 1),
    "depthwise": (network(layers.DepthwiseConv2D(5, padding="same")), 2, 1),
    "separable": (network(layers.SeparableConv2D(3, 5, padding="same")), 2, 1),
    "padding of its own": (
        network(layers.ZeroPadding2D(2), conv(5, padding="valid")),
        2,
        1,
    ),
    "pixel shuffle": (network(conv(3, 12), PixelShuffle(2)), 1, 1),
    "a convolution of subpixels": (
        network(conv(1, 12), PixelShuffle(2), conv(3)),
        1,
        1,
    ),
    "bicubic": (network(BicubicUpsampling(3)), 2, 1),
    "bilinear": (network(layers.UpSampling2D(2, interpolation="bilinear")), 1, 1),
    "nearest": (network(layers.UpSampling2D(3)), 0, 1),
    "pooling": (network(layers.MaxPooling2D(9, 1, padding="same")), 4, 1),
    "transposed without overlap": (network(transposed(2, 2, "valid")), 0, 1),
    # pixel j of the small map sees 2j to 2j + 2, and becomes pixels 2j and 2j + 1
    "strides": (
        network(PadToMultiple(2), conv(3, strides=2), transposed(2, 2, "valid")),
        2,
        2,
    ),
    "pools within a wide convolution": (
        network(PadToMultiple(4), layers.AveragePooling2D(4), layers.UpSampling2D(4)),
        3,
        4,
    ),
    # 4 pixels of the enlarged image are 4/3 of the input; 2/3 is half of a step
    "strides on an enlarged image": (
        network(
            layers.UpSampling2D(3),
            PadToMultiple(4),
            layers.AveragePooling2D(4),
            layers.UpSampling2D(4),
        ),
        1,
        4,
    ),
    # 4 and 2 pixels of the enlarged image, and 2 of bicubic interpolation
    "srcnn": (models.srcnn(2, (9, 1, 5), (2, 2), channels=3), 2 + 1 + 2, 1),
    # head, 2 blocks of 2, body, upsampling, and half a pixel of the tail
    "edsr": (models.edsr(2, filters=4, num_blocks=2), 1 + 4 + 1 + 1 + 1, 1),
    # tiles of 2, on which there are 19 convolutions of 1 tile each and half a tile, and
    # a quarter more after upscaling
    "rrdb of tiles": (
        models.rrdb(2, filters=4, num_blocks=1, growth=4, unshuffle=2),
        38,
        2,
    ),
    # head, 5 pairs of projections of 1 + 2 pixels, and the last projection's 2
    "dbpn": (models.dbpn(4, filters=4, num_features=4), 1 + 6 * 3 + 2, 1),
}


@pytest.mark.parametrize("name", COUNTED)
def test_halo_and_step_are_those_counted_by_hand(name):
    model, halo, step = COUNTED[name]
    assert receptive_field(model) == ReceptiveField(halo, step)
    assert from_graph(model) == ReceptiveField(halo, step)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_of_every_network_is_known(name):
    field = from_graph(tiny(name))
    assert (field.halo is None) == (name in UNBOUNDED)


@pytest.mark.parametrize("name", ["autoencoder", "unet", "dbpn", "srcnn", "vae"])
def test_the_graph_agrees_with_a_measurement(name):
    model = tiny(name)
    field, measured = from_graph(model), measure(model)
    assert field.step == measured.step
    # A measurement is larger by what strides may round, and by a pixel whose weight
    # in the bicubic kernel is 0.
    assert measured.halo - 2 * (field.step - 1) - 1 <= field.halo <= measured.halo


def test_layers_over_the_whole_image_have_no_bound():
    for layer in (
        layers.GroupNormalization(1),
        layers.UnitNormalization(axis=[1, 2, 3]),
    ):
        assert from_graph(network(conv(3), layer)) == ReceptiveField(None, 1)

    inputs = keras.Input((None, None, 3))
    mean = layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    x = PadToMultiple(2)(layers.Multiply()([inputs, conv(1)(mean)]))
    x = CropLike()([transposed(2, 2)(conv(3, strides=2)(x)), inputs])
    assert from_graph(keras.Model(inputs, x)) == ReceptiveField(None, 2)


@keras.saving.register_keras_serializable(package="tests")
class Blur(layers.Layer):
    """Takes the mean of 5x5 pixels."""

    def call(self, inputs):
        return ops.average_pool(inputs, 5, 1, padding="same")


class Sharpen(layers.Conv2D):
    """A subclass may look further than its base class."""

    def call(self, inputs):
        return super().call(ops.average_pool(inputs, 3, 1, padding="same"))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = conv(3, 4), conv(5)

    def call(self, inputs):
        return self.last(self.first(inputs))


def last_of_three(x):
    return ops.softmax(x, axis=1)


@pytest.mark.parametrize(
    ("build", "halo"),
    [
        (lambda: network(Blur()), 2),
        (lambda: network(Sharpen(3, 3, padding="same")), 1 + 1),
        (lambda: network(conv(3, 4, activation=Blur())), 1 + 2),
        (Subclassed, 1 + 2),
        (lambda: network(conv(3)).predict_on_batch, 1),
    ],
)
def test_models_with_unknown_layers_or_without_a_graph_are_measured(build, halo):
    model = build()
    assert from_graph(model) is None
    assert receptive_field(model) == ReceptiveField(halo, 1)


def test_an_activation_may_look_at_a_whole_column():
    assert from_graph(network(conv(3, activation=last_of_three))) is None


def test_one_channel_is_measured_with_one():
    assert receptive_field(network(Blur(), channels=1)) == ReceptiveField(2, 1)
    assert measure(lambda x: x[..., :1] * x.shape[-1], 1) == ReceptiveField(0, 1)


def test_a_field_is_found_once(capsys):
    calls = []

    def slow(x):
        calls.append(x.shape)
        time.sleep(0.25 if len(calls) < 3 else 0)
        return x

    assert receptive_field(slow) == ReceptiveField(0, 1)
    assert "Measuring how far around a pixel" in capsys.readouterr().err
    count = len(calls)
    assert receptive_field(slow) == ReceptiveField(0, 1)
    assert len(calls) == count <= 10


def test_a_graph_of_hundreds_of_layers_takes_less_than_two_seconds():
    model = tiny("edsr", num_blocks=70)
    assert len(model.layers) > sys.getrecursionlimit() / 5
    start = time.perf_counter()
    assert receptive_field(model).halo == 1 + 140 + 1 + 1 + 1
    assert time.perf_counter() - start < 2


def shared():
    """A nested model that is called twice."""
    inner = network(conv(3, 3, activation="tanh"), PixelShuffle(1))
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, inner(inner(inputs)) + inputs * 0.5)


def strided(down, skip):
    """Reduces by `down`, enlarges again, and adds a convolution of the input."""
    inputs = keras.Input((None, None, 3))
    x = down(conv(3, 4, activation="relu")(inputs))
    x = CropLike()([transposed(4, 3)(x), inputs])
    return keras.Model(inputs, x + conv(skip)(inputs))


WEIRD = {
    "a nested model called twice": shared,
    "sequential": lambda: keras.Sequential([keras.Input((None, None, 3)), conv(3)]),
    "a layer of one's own": lambda: network(conv(3), Blur(), conv(3)),
    "subclassed": Subclassed,
    "layer normalization": lambda: network(conv(3), layers.LayerNormalization()),
    "strides of 3": lambda: strided(conv(5, 4, strides=3), 3),
    "average pooling by 3": lambda: strided(layers.AveragePooling2D(3, 3, "same"), 3),
    "a wide convolution": lambda: strided(layers.MaxPooling2D(3, 3, "same"), 37),
    "spectral normalization": lambda: network(layers.SpectralNormalization(conv(5))),
    "mixed precision": lambda: with_precision(tiny("edsr"), "mixed_bfloat16"),
}


def noise(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def randomized(model):
    """The model with weights that are nowhere 0, as after training."""
    model(noise(1, 24, 24, 3))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.uniform(-0.02, 0.02, weight.shape))
    return model


@pytest.mark.filterwarnings("ignore:This CPU has no units for bfloat16")
@pytest.mark.filterwarnings("error::UserWarning:sr_keras")
@pytest.mark.parametrize("name", [*(n for n in NETWORKS if n not in UNBOUNDED), *WEIRD])
def test_tiles_equal_the_whole_image(name):
    keras.utils.set_random_seed(0)
    if name in NETWORKS:
        channels = tiny(name).input_shape[-1]
        model = tiny(name, channels=3) if channels == 1 else tiny(name)
    else:
        model = WEIRD[name]()
    model = randomized(model)
    image = noise(57, 83, 3)
    whole = upscale(model, image, tile=None)
    assert whole.std() > 0.01
    np.testing.assert_allclose(upscale(model, image, tile=42), whole, atol=1e-5)
