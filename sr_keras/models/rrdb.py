"""ESRGAN's generator: residual-in-residual dense blocks."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_numbers, check_scale
from sr_keras.layers import (
    CropLike,
    NearestUpsampling,
    PadToMultiple,
    PixelUnshuffle,
)
from sr_keras.models.network import register


@register
def rrdb(
    scale,
    filters=64,
    num_blocks=23,
    growth=32,
    residual_scale=0.2,
    channels=3,
    unshuffle=1,
    name="rrdb",
):
    """Builds the generator of ESRGAN from residual-in-residual dense blocks.

    The defaults are those of the released network for x4, with 16,697,987 parameters.
    Like it, this network upscales in nearest-neighbour steps, each followed by a
    convolution. The dense blocks are initialized with a tenth of the standard deviation
    of He's initializer, as in the authors' code.

    Real-ESRGAN's network for x2 is that for x4 with `unshuffle=2`: it works on tiles
    of 2x2 pixels that have become channels, at a quarter of the cost. Images whose
    sides are not a multiple of `unshuffle` are reflected at the bottom and the right.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8, or such a number divided by `unshuffle`.
            4 and 8 are reached in steps of 2.
        filters: Number of channels between the blocks.
        num_blocks: Number of residual-in-residual dense blocks. Each holds three dense
            blocks of five convolutions.
        growth: Number of channels that each convolution of a dense block adds.
        residual_scale: Factor on each residual branch, for stability.
        channels: 3 for RGB, 1 for luma.
        unshuffle: Side of the tiles of pixels that become channels before the first
            convolution. The layers after it upscale by `scale * unshuffle`.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale * unshuffle` is not 2, 3, 4 or 8, or another argument is
            not valid.

    Reference:
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219),
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """
    check_counts(
        filters=filters,
        num_blocks=num_blocks,
        growth=growth,
        unshuffle=unshuffle,
        channels=channels,
    )
    if unshuffle == 1:
        scale = check_scale(scale, (2, 3, 4, 8))
    elif check_scale(scale) * unshuffle not in (2, 3, 4, 8):
        raise ValueError(
            "`scale * unshuffle` must be 2, 3, 4 or 8. Received:"
            f" scale={scale}, unshuffle={unshuffle}"
        )
    check_numbers(residual_scale=residual_scale)

    def conv(x, name, activate=False):
        x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return layers.LeakyReLU(0.2, name=f"{name}_relu")(x) if activate else x

    x = inputs = keras.Input((None, None, channels), name="lr")
    if unshuffle > 1:
        x = PadToMultiple(unshuffle, mode="reflect", name="padding")(x)
        x = PixelUnshuffle(unshuffle, name="unshuffle")(x)
    head = conv(x, name="head")
    x = head
    for i in range(num_blocks):
        skip = x
        for j in range(3):
            x = _dense_block(
                x, filters, growth, residual_scale, name=f"block_{i}_dense_{j}"
            )
        x = layers.Rescaling(residual_scale, name=f"block_{i}_scale")(x)
        x = layers.Add(name=f"block_{i}_skip")([skip, x])
    x = conv(x, name="body")
    x = layers.Add(name="global_skip")([head, x])
    factors = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale * unshuffle]
    for i, factor in enumerate(factors):
        x = NearestUpsampling(factor, name=f"nearest_{i}")(x)
        x = conv(x, activate=True, name=f"upsampling_{i}")
    x = conv(x, activate=True, name="reconstruction")
    outputs = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="tail")(
        x
    )
    if unshuffle > 1:
        like = NearestUpsampling(scale, dtype="float32", name="size")(inputs)
        outputs = CropLike(dtype="float32", name="crop")([outputs, like])
    return keras.Model(inputs, outputs, name=name)


def _dense_block(x, filters, growth, residual_scale, name):
    def conv(x, filters, name):
        # a hundredth of the variance of he_normal, 2 / n
        initializer = keras.initializers.VarianceScaling(
            0.02, mode="fan_in", distribution="truncated_normal"
        )
        return layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=initializer, name=name
        )(x)

    skip = x
    maps = [x]
    for i in range(4):
        x = conv(x, growth, name=f"{name}_conv{i}")
        maps.append(layers.LeakyReLU(0.2, name=f"{name}_relu{i}")(x))
        x = layers.Concatenate(name=f"{name}_concat{i}")(maps)
    x = conv(x, filters, name=f"{name}_conv4")
    x = layers.Rescaling(residual_scale, name=f"{name}_scale")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])
