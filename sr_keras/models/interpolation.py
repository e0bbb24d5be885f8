"""Interpolation as models: the baseline for every network."""

import keras

from sr_keras.checks import check_counts
from sr_keras.layers import (
    BicubicUpsampling,
    BilinearUpsampling,
    NearestUpsampling,
)
from sr_keras.models.network import register


@register(listed=False)
def bicubic(scale, channels=3, name="bicubic"):
    """Builds bicubic interpolation (a = -0.5, like MATLAB's `imresize`).

    Args:
        scale: Upscaling factor, a positive integer.
        channels: 3 for RGB, 1 for luma.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` or `channels` is not a positive integer.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """
    return _interpolation(BicubicUpsampling(scale), channels, name)


@register(listed=False)
def bilinear(scale, channels=3, name="bilinear"):
    """Builds bilinear interpolation; arguments and shapes as `bicubic`."""
    return _interpolation(BilinearUpsampling(scale), channels, name)


@register(listed=False)
def nearest(scale, channels=3, name="nearest"):
    """Builds nearest-neighbour interpolation; arguments and shapes as `bicubic`."""
    return _interpolation(NearestUpsampling(scale, dtype="float32"), channels, name)


def _interpolation(layer, channels, name):
    check_counts(channels=channels)
    inputs = keras.Input((None, None, channels), name="lr")
    return keras.Model(inputs, layer(inputs), name=name)
