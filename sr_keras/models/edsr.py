"""EDSR: residual blocks without batch normalization."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.arguments import check_counts, check_scale


def edsr(
    scale,
    filters=64,
    num_blocks=16,
    residual_scale=1.0,
    channels=3,
    weights=None,
    name="edsr",
):
    """Builds EDSR: a deep residual network without batch normalization.

    The defaults are the paper's baseline; its large model is `filters=256,
    num_blocks=32, residual_scale=0.1`. Unlike the paper, the mean colour of
    DIV2K is not subtracted: inputs are already in [0, 1]. Also unlike it, the
    convolutions before a pixel shuffle start free of checkerboards (ICNR). The
    others start as the authors' do, which is PyTorch's default.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_blocks: Number of residual blocks.
        residual_scale: Factor on each residual branch; below 1 it keeps wide
            networks from diverging.
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
        [Lim et al., 2017](https://arxiv.org/abs/1707.02921)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(filters=filters, num_blocks=num_blocks, channels=channels)

    inputs = keras.Input((None, None, channels), name="lr")
    head = _conv(filters, name="head")(inputs)
    x = head
    for i in range(num_blocks):
        x = _residual_block(x, filters, residual_scale, name=f"block_{i}")
    x = _conv(filters, name="body")(x)
    x = layers.Add(name="global_skip")([x, head])
    for i, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
        x = _conv(
            filters * factor**2,
            kernel_initializer=ICNR(factor, _initializer()),
            name=f"upsampling_{i}",
        )(x)
        x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
    outputs = _conv(channels, dtype="float32", name="tail")(x)
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_blocks": num_blocks,
        "residual_scale": residual_scale,
        "channels": channels,
    }
    return pretrained.load(model, weights, "edsr", config)


def _residual_block(x, filters, residual_scale, name):
    skip = x
    x = _conv(filters, activation="relu", name=f"{name}_conv1")(x)
    x = _conv(filters, name=f"{name}_conv2")(x)
    if residual_scale != 1:
        x = layers.Rescaling(residual_scale, name=f"{name}_scale")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])


def _conv(filters, kernel_initializer=None, **kwargs):
    return layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer=kernel_initializer or _initializer(),
        **kwargs,
    )


def _initializer():
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
