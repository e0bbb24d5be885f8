"""RLFN: residual local features and a cheap spatial attention."""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import ICNR, PadToMultiple, PixelShuffle
from sr_keras.models.network import register

# The strided convolution (3x3) and the pooling (7x7) of the attention need 15 pixels.
_SMALLEST = 15


@keras.saving.register_keras_serializable(package="sr_keras")
class ResizeLike(layers.Layer):
    """Resizes a tensor to the height and width of another by bilinear interpolation.

    Call arguments:
        inputs: A list of two tensors: the one to resize, and the one that has the size.

    Output shape:
        `(batch, height, width, channels)`, with height and width of the second tensor
        and the channels of the first.
    """

    def call(self, inputs):
        x, like = inputs
        for axis in (1, 2):
            x = self._resize(x, ops.shape(like)[axis], axis)
        return x

    def _resize(self, x, size, axis):
        # not `ops.image.resize`, which needs a size known when the graph is made
        old = ops.shape(x)[axis]
        step = ops.cast(old, "float32") / ops.cast(size, "float32")
        position = (ops.arange(size, dtype="float32") + 0.5) * step - 0.5
        position = ops.clip(position, 0, ops.cast(old - 1, "float32"))
        distance = position[:, None] - ops.arange(old, dtype="float32")
        weights = ops.cast(ops.relu(1 - ops.abs(distance)), x.dtype)
        # (size, old) and (batch, height, width, channels)
        pattern = {1: "sh,bhwc->bswc", 2: "sw,bhwc->bhsc"}[axis]
        return ops.einsum(pattern, weights, x)

    def compute_output_shape(self, input_shape):
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return (batch, height, width, channels)


@register
def rlfn(
    scale,
    filters=52,
    num_blocks=6,
    attention_filters=16,
    channels=3,
    name="rlfn",
):
    """Builds RLFN: a residual local feature network.

    The defaults are the paper's RLFN; RLFN-S is `filters=48`. Each block has three 3x3
    convolutions, and scales its features by enhanced spatial attention (ESA), which is
    computed from a map of about a sixth of the height and width. Unlike in the paper,
    the convolution before the pixel shuffle is initialized with ICNR, which avoids
    checkerboard artifacts.

    The position of the grid of the attention depends on the size of the image. The
    output for a tile therefore differs slightly from the same region of the output for
    the whole image. Images of less than 15 pixels are padded for the attention.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual local feature blocks.
        attention_filters: Number of channels inside the attention.
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
        [Kong et al., 2022](https://arxiv.org/abs/2205.07514)
    """
    scale = check_scale(scale)
    check_counts(
        filters=filters,
        num_blocks=num_blocks,
        attention_filters=attention_filters,
        channels=channels,
    )

    inputs = keras.Input((None, None, channels), name="lr")
    head = _conv(filters, 3, name="head")(inputs)
    x = head
    for i in range(num_blocks):
        x = _local_block(x, filters, attention_filters, name=f"block_{i}")
    x = _conv(filters, 3, name="body")(x)
    x = layers.Add(name="global_skip")([head, x])
    x = _conv(
        channels * scale**2,
        3,
        kernel_initializer=ICNR(scale, _initializer()),
        dtype="float32",
        name="subpixels",
    )(x)
    outputs = PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    return keras.Model(inputs, outputs, name=name)


def _local_block(x, filters, attention_filters, name):
    skip = x
    for i in (1, 2, 3):
        x = _conv(filters, 3, name=f"{name}_conv{i}")(x)
        x = layers.LeakyReLU(0.05, name=f"{name}_relu{i}")(x)
    x = layers.Add(name=f"{name}_skip")([skip, x])
    x = _conv(filters, 1, name=f"{name}_fusion")(x)
    return _spatial_attention(x, filters, attention_filters, name=f"{name}_esa")


def _spatial_attention(x, filters, attention_filters, name):
    reduced = _conv(attention_filters, 1, name=f"{name}_squeeze")(x)
    coarse = PadToMultiple(1, minimum=_SMALLEST, name=f"{name}_pad")(reduced)
    coarse = _conv(
        attention_filters, 3, strides=2, padding="valid", name=f"{name}_down"
    )(coarse)
    coarse = layers.MaxPooling2D(7, strides=3, name=f"{name}_pool")(coarse)
    coarse = _conv(attention_filters, 3, name=f"{name}_conv")(coarse)
    coarse = ResizeLike(name=f"{name}_resize")([coarse, reduced])
    fine = _conv(attention_filters, 1, name=f"{name}_fine")(reduced)
    mask = layers.Add(name=f"{name}_sum")([coarse, fine])
    mask = _conv(filters, 1, activation="sigmoid", name=f"{name}_excite")(mask)
    return layers.Multiply(name=f"{name}_mask")([x, mask])


def _conv(filters, size, kernel_initializer=None, padding="same", **kwargs):
    return layers.Conv2D(
        filters,
        size,
        padding=padding,
        kernel_initializer=kernel_initializer or _initializer(),
        **kwargs,
    )


def _initializer():
    # PyTorch's default, as in the authors' code
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
