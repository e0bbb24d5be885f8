"""SRCNN: the first convolutional network for super-resolution."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import BicubicUpsampling
from sr_keras.models.arguments import check_counts, check_length, check_scale


def srcnn(
    scale,
    kernel_sizes=(9, 5, 5),
    filters=(64, 32),
    channels=1,
    weights=None,
    name="srcnn",
):
    """Builds SRCNN: interpolate, then correct with three convolutions.

    They extract patches, map them, and put the image together. The paper's
    small network is `kernel_sizes=(9, 1, 5)`. Unlike the paper's, the
    convolutions pad with zeros, so that the output has its full size, and
    start from Keras's Glorot initializer, because the paper's (a deviation of
    0.001) needs a learning rate per layer and days to get going.

    Args:
        scale: Upscaling factor, a whole number from 1; 1 restores an image of
            the same size.
        kernel_sizes: Of the three convolutions.
        filters: Channels after the first and the second convolution.
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
        [Dong et al., 2014](https://arxiv.org/abs/1501.00092)
    """
    scale = check_scale(scale)
    check_counts(kernel_sizes=kernel_sizes, filters=filters, channels=channels)
    check_length("kernel_sizes", kernel_sizes, 3)
    check_length("filters", filters, 2)
    first, second, third = kernel_sizes

    def conv(filters, size, **kwargs):
        return layers.Conv2D(filters, size, padding="same", **kwargs)

    inputs = keras.Input((None, None, channels), name="lr")
    x = BicubicUpsampling(scale, name="interpolation")(inputs)
    x = conv(filters[0], first, activation="relu", name="extraction")(x)
    x = conv(filters[1], second, activation="relu", name="mapping")(x)
    outputs = conv(channels, third, dtype="float32", name="reconstruction")(x)
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "kernel_sizes": list(kernel_sizes),
        "filters": list(filters),
        "channels": channels,
    }
    return pretrained.load(model, weights, "srcnn", config)
