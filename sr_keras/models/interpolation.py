"""Interpolation as models: what every network has to beat."""

import keras

from sr_keras.layers import (
    BicubicUpsampling,
    BilinearUpsampling,
    NearestUpsampling,
)
from sr_keras.models.arguments import check_scale


def bicubic(scale, channels=3, name="bicubic"):
    """Builds bicubic interpolation (a = -0.5, as MATLAB's `imresize`).

    Args:
        scale: Upscaling factor, a whole number from 1.
        channels: 3 for RGB, 1 for luma.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not a whole number from 1.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """
    return _interpolation(BicubicUpsampling(check_scale(scale)), channels, name)


def bilinear(scale, channels=3, name="bilinear"):
    """Builds bilinear interpolation; arguments and shapes as `bicubic`."""
    return _interpolation(BilinearUpsampling(check_scale(scale)), channels, name)


def nearest(scale, channels=3, name="nearest"):
    """Builds nearest-neighbour interpolation; arguments and shapes as `bicubic`."""
    return _interpolation(NearestUpsampling(check_scale(scale)), channels, name)


def _interpolation(layer, channels, name):
    inputs = keras.Input((None, None, channels), name="lr")
    return keras.Model(inputs, layer(inputs), name=name)
