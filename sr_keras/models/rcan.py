"""RCAN: residual groups whose channels are weighted by attention."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.arguments import check_counts, check_scale


def rcan(
    scale,
    filters=64,
    num_groups=10,
    num_blocks=20,
    reduction=16,
    channels=3,
    weights=None,
    name="rcan",
):
    """Builds RCAN: residual groups with channel attention.

    The defaults are the paper's: 15,592,355 weights for x4. The released network
    counts 24 more, of two layers that subtract the mean colour of DIV2K and add
    it again, which this has not: inputs are already in [0, 1]. Also unlike it,
    the convolutions before a pixel shuffle start free of checkerboards (ICNR).

    The attention is on means over the whole image, so the output for a tile
    differs a little from that part of the output for the whole image.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_groups: Number of residual groups.
        num_blocks: Number of residual channel attention blocks in a group.
        reduction: Divides `filters` inside the attention.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or `filters` is no multiple
            of `reduction`.

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
    if filters % reduction:
        raise ValueError(
            "`filters` must be a multiple of `reduction`. Received:"
            f" filters={filters}, reduction={reduction}"
        )

    inputs = keras.Input((None, None, channels), name="lr")
    head = _conv(filters, 3, name="head")(inputs)
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
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_groups": num_groups,
        "num_blocks": num_blocks,
        "reduction": reduction,
        "channels": channels,
    }
    return pretrained.load(model, weights, "rcan", config)


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
    # The released network's start. Glorot's has three times the variance, which
    # 410 convolutions multiply to outputs of a million.
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(
        filters, size, padding="same", kernel_initializer=initializer, **kwargs
    )
