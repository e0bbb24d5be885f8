"""SRCNN: the first convolutional network for super-resolution."""

import keras
from keras import layers

from sr_keras.checks import check_count_lists, check_counts, check_scale
from sr_keras.layers import BicubicUpsampling
from sr_keras.models.network import register


@register
def srcnn(
    scale,
    kernel_sizes=(9, 5, 5),
    filters=(64, 32),
    channels=1,
    name="srcnn",
):
    """Builds SRCNN: interpolate, then correct with three convolutions.

    The convolutions extract patches, map them, and reconstruct the image. The paper's
    small network is `kernel_sizes=(9, 1, 5)`. Unlike in the paper, the convolutions pad
    with zeros, so that the output has its full size, and use Keras's Glorot
    initializer: the paper's (normal, with a standard deviation of 0.001) needs a
    learning rate per layer and days of training.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        kernel_sizes: List of the sizes of the three convolutions.
        filters: List of the numbers of channels after the first and the second
            convolution.
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
        [Dong et al., 2014](https://arxiv.org/abs/1501.00092)
    """
    scale = check_scale(scale)
    check_count_lists(3, kernel_sizes=kernel_sizes)
    check_count_lists(2, filters=filters)
    check_counts(channels=channels)
    first, second, third = kernel_sizes

    def conv(filters, size, **kwargs):
        return layers.Conv2D(filters, size, padding="same", **kwargs)

    inputs = keras.Input((None, None, channels), name="lr")
    x = BicubicUpsampling(scale, name="interpolation")(inputs)
    x = conv(filters[0], first, activation="relu", name="extraction")(x)
    x = conv(filters[1], second, activation="relu", name="mapping")(x)
    outputs = conv(channels, third, dtype="float32", name="reconstruction")(x)
    return keras.Model(inputs, outputs, name=name)
