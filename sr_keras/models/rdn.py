"""RDN: residual dense blocks whose outputs are all fused."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.network import register


@register
def rdn(
    scale,
    filters=64,
    num_blocks=16,
    num_convs=8,
    growth=64,
    channels=3,
    name="rdn",
):
    """Builds RDN: a residual dense network.

    The defaults are the paper's final network, with 22 million parameters. Unlike in
    the paper, the convolutions before a pixel shuffle are initialized with ICNR, which
    avoids checkerboard artifacts.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels between the blocks, G0 in the paper.
        num_blocks: Number of residual dense blocks, D in the paper.
        num_convs: Number of 3x3 convolutions in a block, C in the paper.
        growth: Number of channels that each of these convolutions adds, G in the paper.
        channels: 3 for RGB, 1 for luma.
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
        [Zhang et al., 2018](https://arxiv.org/abs/1802.08797)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(
        filters=filters,
        num_blocks=num_blocks,
        num_convs=num_convs,
        growth=growth,
        channels=channels,
    )

    inputs = keras.Input((None, None, channels), name="lr")
    shallow = _conv(filters, 3, name="shallow_0")(inputs)
    x = _conv(filters, 3, name="shallow_1")(shallow)
    blocks = []
    for i in range(num_blocks):
        x = _dense_block(x, filters, num_convs, growth, name=f"block_{i}")
        blocks.append(x)
    x = layers.Concatenate(name="global_concat")(blocks)
    x = _conv(filters, 1, name="global_fusion")(x)
    x = _conv(filters, 3, name="body")(x)
    x = layers.Add(name="global_skip")([shallow, x])
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
    return keras.Model(inputs, outputs, name=name)


def _dense_block(x, filters, num_convs, growth, name):
    skip = x
    maps = [x]
    for i in range(num_convs):
        x = _conv(growth, 3, activation="relu", name=f"{name}_conv{i}")(x)
        maps.append(x)
        x = layers.Concatenate(name=f"{name}_concat{i}")(maps)
    x = _conv(filters, 1, name=f"{name}_fusion")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])


def _conv(filters, size, **kwargs):
    # As in the released network. Glorot's initializer has up to three times the
    # variance, and the first outputs would be fifteen times too large.
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(
        filters, size, padding="same", kernel_initializer=initializer, **kwargs
    )
