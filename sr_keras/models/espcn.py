"""ESPCN: convolve at low resolution, upscale by a sub-pixel layer."""

import keras
from keras import layers

from sr_keras.checks import check_count_lists, check_counts, check_flags, check_scale
from sr_keras.layers import ICNR, BicubicUpsampling, PixelShuffle
from sr_keras.models.network import register


@register
def espcn(
    scale,
    filters=(64, 32),
    activation="tanh",
    bicubic_skip=False,
    channels=1,
    name="espcn",
):
    """Builds ESPCN: an efficient sub-pixel convolutional network.

    All convolutions work at the low resolution. The last one computes `scale**2` values
    for every input pixel and channel, which a pixel shuffle arranges into the output.
    Unlike in the paper, it is initialized with ICNR, which avoids checkerboard
    artifacts.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: List of the numbers of channels after the first (5x5) and the second
            (3x3) convolution.
        activation: Name of the activation of the hidden layers. The paper found "tanh"
            best. The shipped weights use "leaky_relu", which learns more from hundreds
            of photos. With "relu" some training runs failed because all units died: the
            output was then the skip connection alone.
        bicubic_skip: Whether to add the bicubically upscaled input to the output, so
            that the network only learns the difference. This is not in the paper; it
            trains faster.
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
        [Shi et al., 2016](https://arxiv.org/abs/1609.05158)
    """
    scale = check_scale(scale)
    check_count_lists(2, filters=filters)
    check_flags(bicubic_skip=bicubic_skip)
    check_counts(channels=channels)
    if not isinstance(activation, str):
        raise ValueError(
            "`activation` must be the name of an activation. Received:"
            f" activation={activation!r}"
        )

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
    return keras.Model(inputs, outputs, name=name)
