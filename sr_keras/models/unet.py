"""U-Net: an encoder and a decoder with skip connections."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_flags, check_scale
from sr_keras.layers import BicubicUpsampling, CropLike, PadToMultiple
from sr_keras.models.network import register


@register
def unet(
    scale,
    filters=64,
    num_levels=5,
    batch_norm=False,
    residual=True,
    channels=3,
    name="unet",
):
    """Builds a U-Net on the bicubically upscaled image.

    Levels, widths and convolutions are those of the paper, with 31 million parameters.
    The paper segments cells; here the output is an image. Therefore the convolutions
    pad, so that the output has its full size, there is no dropout at the bottom, and by
    default the network only learns the difference from the interpolated image.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: Number of channels of the first level. Each level has twice as many as
            the previous one.
        num_levels: Number of levels. Each has half the size of the previous one.
        batch_norm: Whether to follow each 3x3 convolution by batch normalization. Not
            in the paper.
        residual: Whether to add the interpolated image to the output. Not in the paper.
        channels: 3 for RGB, 1 for luma.
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
        [Ronneberger et al., 2015](https://arxiv.org/abs/1505.04597)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, num_levels=num_levels, channels=channels)
    check_flags(batch_norm=batch_norm, residual=residual)
    depth = num_levels - 1

    inputs = keras.Input((None, None, channels), name="lr")
    image = BicubicUpsampling(scale, name="interpolation")(inputs)
    x = PadToMultiple(2**depth, name="padding")(image)
    skips = []
    for i in range(depth):
        x = _two_convs(x, filters * 2**i, batch_norm, name=f"encoder_{i}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down_{i}")(x)
    x = _two_convs(x, filters * 2**depth, batch_norm, name="bottom")
    for i in reversed(range(depth)):
        x = layers.Conv2DTranspose(
            filters * 2**i,
            2,
            strides=2,
            kernel_initializer="he_normal",
            name=f"up_{i}",
        )(x)
        x = layers.Concatenate(name=f"skip_{i}")([skips[i], x])
        x = _two_convs(x, filters * 2**i, batch_norm, name=f"decoder_{i}")
    x = layers.Conv2D(channels, 1, dtype="float32", name="tail")(x)
    outputs = CropLike(dtype="float32", name="crop")([x, image])
    if residual:
        outputs = layers.Add(dtype="float32", name="skip")([outputs, image])
    return keras.Model(inputs, outputs, name=name)


def _two_convs(x, filters, batch_norm, name):
    for i in (1, 2):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            name=f"{name}_conv{i}",
        )(x)
        if batch_norm:
            x = layers.BatchNormalization(name=f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x
