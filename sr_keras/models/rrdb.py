"""ESRGAN's generator: residual-in-residual dense blocks."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.models.arguments import check_counts, check_scale


def rrdb(
    scale,
    filters=64,
    num_blocks=23,
    growth=32,
    residual_scale=0.2,
    channels=3,
    weights=None,
    name="rrdb",
):
    """Builds the generator of ESRGAN from residual-in-residual dense blocks.

    The defaults are those of the released network for x4: 16,697,987 weights.
    Like it, this enlarges by nearest-neighbour steps, each followed by a
    convolution; and the dense blocks start from a tenth of He's deviation.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels between the blocks.
        num_blocks: Number of residual-in-residual dense blocks; each holds
            three dense blocks of five convolutions.
        growth: Channels that each convolution of a dense block adds.
        residual_scale: Factor on each residual branch, for stability.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another number is
            out of range.

    Reference:
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(
        filters=filters, num_blocks=num_blocks, growth=growth, channels=channels
    )

    def conv(x, name, activate=False):
        x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return layers.LeakyReLU(0.2, name=f"{name}_relu")(x) if activate else x

    inputs = keras.Input((None, None, channels), name="lr")
    head = conv(inputs, name="head")
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
    for i, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
        x = layers.UpSampling2D(factor, name=f"nearest_{i}")(x)
        x = conv(x, activate=True, name=f"upsampling_{i}")
    x = conv(x, activate=True, name="reconstruction")
    outputs = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="tail")(
        x
    )
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_blocks": num_blocks,
        "growth": growth,
        "residual_scale": residual_scale,
        "channels": channels,
    }
    return pretrained.load(model, weights, "rrdb", config)


def _dense_block(x, filters, growth, residual_scale, name):
    def conv(x, filters, name):
        # a tenth of the deviation is a hundredth of he_normal's variance of 2 / n
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
