"""VDSR: very deep, and only the residual to learn."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import BicubicUpsampling
from sr_keras.models.arguments import check_counts, check_scale


def vdsr(
    scale,
    filters=64,
    num_layers=20,
    channels=1,
    weights=None,
    name="vdsr",
):
    """Builds VDSR: interpolate, and add what twenty 3x3 convolutions find missing.

    The defaults are the paper's: 664,704 weights, not counting the biases. The
    convolutions do not depend on `scale`, so one set of weights serves several
    factors, as in the paper: `vdsr(3).set_weights(vdsr(2).get_weights())`.

    Args:
        scale: Upscaling factor, a whole number from 1; 1 restores an image of
            the same size.
        filters: Channels of every feature map.
        num_layers: Number of convolutions.
        channels: 1 for luma, as in the paper; 3 for RGB.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not a whole number from 1, or another number is
            out of range.

    Reference:
        [Kim et al., 2016](https://arxiv.org/abs/1511.04587)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, num_layers=num_layers, channels=channels)

    def conv(filters, **kwargs):
        return layers.Conv2D(
            filters, 3, padding="same", kernel_initializer="he_normal", **kwargs
        )

    inputs = keras.Input((None, None, channels), name="lr")
    image = BicubicUpsampling(scale, name="interpolation")(inputs)
    x = image
    for i in range(num_layers - 1):
        x = conv(filters, activation="relu", name=f"conv_{i}")(x)
    x = conv(channels, dtype="float32", name="residual")(x)
    outputs = layers.Add(dtype="float32", name="skip")([image, x])
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_layers": num_layers,
        "channels": channels,
    }
    return pretrained.load(model, weights, "vdsr", config)
