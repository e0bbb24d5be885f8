"""ESPCN: convolve at low resolution, enlarge by a sub-pixel layer."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import ICNR, BicubicUpsampling, PixelShuffle
from sr_keras.models.arguments import check_counts, check_length, check_scale


def espcn(
    scale,
    filters=(64, 32),
    activation="tanh",
    bicubic_skip=False,
    channels=1,
    weights=None,
    name="espcn",
):
    """Builds ESPCN: an efficient sub-pixel convolutional network.

    Everything is computed at low resolution; the last convolution makes
    `scale**2` values for every input pixel, which a pixel shuffle lays out.

    Args:
        scale: Upscaling factor, a whole number from 1.
        filters: Channels after the first (5x5) and the second (3x3)
            convolution.
        activation: Of the hidden layers; the paper found tanh best. The shipped
            weights have "leaky_relu", which learns more from hundreds of photos.
            With "relu" some trainings died (the output is then the skip alone).
        bicubic_skip: Whether the network learns only what bicubic
            interpolation misses; not in the paper, but it trains faster.
        channels: 1 for luma, as in the paper; 3 for RGB.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not a whole number from 1, or another argument does
            not fit.

    Reference:
        [Shi et al., 2016](https://arxiv.org/abs/1609.05158)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, channels=channels)
    check_length("filters", filters, 2)
    if not isinstance(activation, str):
        raise ValueError(f"`activation` must be a name. Received: {activation}")

    def conv(filters, size, **kwargs):
        return layers.Conv2D(filters, size, padding="same", **kwargs)

    inputs = keras.Input((None, None, channels), name="lr")
    x = conv(filters[0], 5, activation=activation, name="features")(inputs)
    x = conv(filters[1], 3, activation=activation, name="mapping")(x)
    x = conv(
        channels * scale**2,
        3,
        kernel_initializer=ICNR(scale),
        dtype="float32",
        name="subpixels",
    )(x)
    outputs = PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    if bicubic_skip:
        skip = BicubicUpsampling(scale, name="bicubic")(inputs)
        outputs = layers.Add(dtype="float32", name="skip")([outputs, skip])
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": list(filters),
        "activation": activation,
        "bicubic_skip": bicubic_skip,
        "channels": channels,
    }
    return pretrained.load(model, weights, "espcn", config)
