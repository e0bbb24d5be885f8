"""EDSR: residual blocks without batch normalization."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_flags, check_numbers, check_scale
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.network import register

# Mean colour of DIV2K in RGB, as the authors measured it.
_MEAN = (0.4488, 0.4371, 0.4040)


@register
def edsr(
    scale,
    filters=64,
    num_blocks=16,
    residual_scale=1.0,
    channels=3,
    mean_shift=False,
    name="edsr",
):
    """Builds EDSR: a deep residual network without batch normalization.

    The defaults are the paper's baseline; its large model is `filters=256,
    num_blocks=32, residual_scale=0.1`. Unlike in the paper, the mean colour of DIV2K is
    not subtracted from the input, unless `mean_shift` is True. Also unlike in the
    paper, the convolutions before a pixel shuffle are initialized with ICNR, which
    avoids checkerboard artifacts; the others are initialized as in the authors' code,
    which uses PyTorch's default.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual blocks.
        residual_scale: Factor on each residual branch. Values below 1 keep wide
            networks from diverging.
        channels: 3 for RGB, 1 for luma.
        mean_shift: Whether the mean colour of DIV2K is subtracted from the input and
            added to the output, as in the paper. A bias cannot replace this, because
            the convolutions pad their inputs with zeros.
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
        [Lim et al., 2017](https://arxiv.org/abs/1707.02921)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(filters=filters, num_blocks=num_blocks, channels=channels)
    check_numbers(residual_scale=residual_scale)
    check_flags(mean_shift=mean_shift)

    x = inputs = keras.Input((None, None, channels), name="lr")
    mean = _MEAN if channels == 3 else [sum(_MEAN) / 3] * channels
    if mean_shift:
        x = layers.Rescaling(1.0, [-m for m in mean], name="sub_mean")(x)
    head = _conv(filters, name="head")(x)
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
    if mean_shift:
        outputs = layers.Rescaling(1.0, mean, dtype="float32", name="add_mean")(outputs)
    return keras.Model(inputs, outputs, name=name)


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
