"""U-Net: an encoder and a decoder that shares its maps."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import BicubicUpsampling, CropLike, PadToMultiple
from sr_keras.models.arguments import check_counts, check_scale


def unet(
    scale,
    filters=64,
    num_levels=5,
    batch_norm=False,
    residual=True,
    channels=3,
    weights=None,
    name="unet",
):
    """Builds a U-Net over the bicubically enlarged image.

    Levels, widths and convolutions are the paper's (31 million weights). Unlike
    in the paper, which labels cells, the output is an image: the convolutions
    pad, so that it has its full size, there is no dropout at the bottom, and by
    default the network learns only what the interpolation misses.

    Args:
        scale: Upscaling factor, a whole number from 1; 1 restores an image of
            the same size.
        filters: Channels of the first level; each next level has twice as many.
        num_levels: Number of levels, each of half the size of the one before.
        batch_norm: Whether each 3x3 convolution is followed by batch
            normalization; not in the paper.
        residual: Whether the interpolated image is added to the output; not in
            the paper.
        channels: 3 for RGB, 1 for luma.
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
        [Ronneberger et al., 2015](https://arxiv.org/abs/1505.04597)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, num_levels=num_levels, channels=channels)
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
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_levels": num_levels,
        "batch_norm": batch_norm,
        "residual": residual,
        "channels": channels,
    }
    return pretrained.load(model, weights, "unet", config)


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
