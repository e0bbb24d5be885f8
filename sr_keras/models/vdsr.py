"""VDSR: a very deep network that only learns the residual."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import BicubicUpsampling
from sr_keras.models.network import register


@register
def vdsr(
    scale,
    filters=64,
    num_layers=20,
    channels=1,
    name="vdsr",
):
    """Builds VDSR: interpolate, and add a residual from twenty 3x3 convolutions.

    The defaults are the paper's, with 664,704 parameters without biases. The
    convolutions do not depend on `scale`, so one set of weights serves several scales,
    as in the paper: `vdsr(3).set_weights(vdsr(2).get_weights())`.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: Number of channels of every feature map.
        num_layers: Number of convolutions.
        channels: 1 for luma, as in the paper; 3 for RGB.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` is not a positive integer, or another argument is not
            valid.

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
    return keras.Model(inputs, outputs, name=name)
