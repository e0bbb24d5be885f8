"""RCAN: residual groups whose channels are weighted by attention."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_flags, check_scale
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.network import register

# Mean colour of DIV2K in RGB, as the authors of EDSR measured it.
_MEAN = (0.4488, 0.4371, 0.4040)


@register
def rcan(
    scale,
    filters=64,
    num_groups=10,
    num_blocks=20,
    reduction=16,
    channels=3,
    mean_shift=False,
    name="rcan",
):
    """Builds RCAN: residual groups with channel attention.

    The defaults are the paper's, with 15,592,355 parameters for x4. The released
    network has 24 more, in two layers that subtract the mean colour of DIV2K and add it
    again; here `mean_shift` does this without parameters, and is off by default. Also
    unlike in the released network, the convolutions before a pixel shuffle are
    initialized with ICNR, which avoids checkerboard artifacts.

    The attention uses means over the whole image. The output for a tile therefore
    differs slightly from the same region of the output for the whole image.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_groups: Number of residual groups.
        num_blocks: Number of residual channel attention blocks in a group.
        reduction: Factor by which the attention reduces the number of channels.
            `filters` must be a multiple of it.
        channels: 3 for RGB, 1 for luma.
        mean_shift: Whether the mean colour of DIV2K is subtracted from the input and
            added to the output, as in the released network.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another argument is not valid.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1807.02758)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(
        filters=filters,
        num_groups=num_groups,
        num_blocks=num_blocks,
        reduction=reduction,
        channels=channels,
    )
    check_flags(mean_shift=mean_shift)
    if filters % reduction:
        raise ValueError(
            "`filters` must be a multiple of `reduction`. Received:"
            f" filters={filters}, reduction={reduction}"
        )

    x = inputs = keras.Input((None, None, channels), name="lr")
    mean = _MEAN if channels == 3 else [sum(_MEAN) / 3] * channels
    if mean_shift:
        x = layers.Rescaling(1.0, [-m for m in mean], name="sub_mean")(x)
    head = _conv(filters, 3, name="head")(x)
    x = head
    for i in range(num_groups):
        skip = x
        for j in range(num_blocks):
            x = _attention_block(x, filters, reduction, name=f"group_{i}_block_{j}")
        x = _conv(filters, 3, name=f"group_{i}_conv")(x)
        x = layers.Add(name=f"group_{i}_skip")([skip, x])
    x = _conv(filters, 3, name="body")(x)
    x = layers.Add(name="global_skip")([head, x])
    for i, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
        x = layers.Conv2D(
            filters * factor**2,
            3,
            padding="same",
            kernel_initializer=ICNR(factor),
            name=f"upsampling_{i}",
        )(x)
        x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
    outputs = _conv(channels, 3, dtype="float32", name="tail")(x)
    if mean_shift:
        outputs = layers.Rescaling(1.0, mean, dtype="float32", name="add_mean")(outputs)
    return keras.Model(inputs, outputs, name=name)


def _attention_block(x, filters, reduction, name):
    skip = x
    x = _conv(filters, 3, activation="relu", name=f"{name}_conv1")(x)
    x = _conv(filters, 3, name=f"{name}_conv2")(x)
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    weight = _conv(filters // reduction, 1, activation="relu", name=f"{name}_squeeze")(
        weight
    )
    weight = _conv(filters, 1, activation="sigmoid", name=f"{name}_excite")(weight)
    x = layers.Multiply(name=f"{name}_attention")([x, weight])
    return layers.Add(name=f"{name}_skip")([skip, x])


def _conv(filters, size, **kwargs):
    # As in the released network. Glorot's initializer has three times the variance,
    # which 410 convolutions would multiply to outputs of a million.
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(
        filters, size, padding="same", kernel_initializer=initializer, **kwargs
    )
