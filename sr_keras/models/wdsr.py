"""WDSR: wide before the activation, thin between the blocks."""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_option, check_scale
from sr_keras.layers import PixelShuffle
from sr_keras.models.network import register


@keras.saving.register_keras_serializable(package="sr_keras")
class WeightNormalizedConv2D(layers.Conv2D):
    """A `Conv2D` that learns the direction and the norm of its filters separately.

    A filter is `gain * kernel / norm(kernel)`. The gain is initialized as the norm, so
    that the layer starts as a plain `Conv2D`. Arguments and shapes are those of
    `keras.layers.Conv2D`.

    Reference:
        [Salimans and Kingma, 2016](https://arxiv.org/abs/1602.07868)
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(
            name="gain",
            shape=(self.filters,),
            initializer=lambda shape, dtype: _norm(self.kernel),
        )

    def convolution_op(self, inputs, kernel):
        # in float32, because the squares of small weights underflow in float16
        kernel = ops.cast(kernel, "float32")
        kernel = kernel * (ops.cast(self.gain, "float32") / _norm(kernel))
        return super().convolution_op(inputs, ops.cast(kernel, self.compute_dtype))

    # those of Conv2D would omit the gain
    def save_own_variables(self, store):
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        layers.Layer.load_own_variables(self, store)


def _norm(kernel):
    return ops.sqrt(ops.sum(kernel**2, axis=(0, 1, 2)) + 1e-12)


@register
def wdsr(
    scale,
    variant="a",
    filters=32,
    num_blocks=16,
    expansion=None,
    channels=3,
    name="wdsr",
):
    """Builds WDSR: residual blocks that are wide before their activation.

    The default is the authors' baseline, a WDSR-A with 1,190,100 parameters for x2. All
    convolutions use weight normalization. Unlike in the paper, the mean colour of DIV2K
    is not subtracted from the input.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        variant: "a" for blocks of two 3x3 convolutions; "b" for blocks of a 1x1
            convolution that widens, a 1x1 convolution that keeps 80% of `filters`, and
            a 3x3 convolution.
        filters: Number of channels between the blocks.
        num_blocks: Number of residual blocks.
        expansion: Factor by which the blocks are wider inside. None for the authors'
            choice: 4 for WDSR-A and 6 for WDSR-B.
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
        [Yu et al., 2018](https://arxiv.org/abs/1808.08718)
    """
    scale = check_scale(scale)
    check_option("variant", variant, ("a", "b"))
    if expansion is None:
        expansion = {"a": 4, "b": 6}[variant]
    check_counts(
        filters=filters, num_blocks=num_blocks, expansion=expansion, channels=channels
    )
    wide, thin = filters * expansion, max(1, int(0.8 * filters))

    def conv(filters, size, **kwargs):
        return WeightNormalizedConv2D(filters, size, padding="same", **kwargs)

    inputs = keras.Input((None, None, channels), name="lr")
    x = conv(filters, 3, name="head")(inputs)
    for i in range(num_blocks):
        skip = x
        if variant == "a":
            x = conv(wide, 3, activation="relu", name=f"block_{i}_expand")(x)
        else:
            x = conv(wide, 1, activation="relu", name=f"block_{i}_expand")(x)
            x = conv(thin, 1, name=f"block_{i}_reduce")(x)
        x = conv(filters, 3, name=f"block_{i}_conv")(x)
        x = layers.Add(name=f"block_{i}_skip")([skip, x])
    subpixels = channels * scale**2
    x = conv(subpixels, 3, dtype="float32", name="tail")(x)
    skip = conv(subpixels, 5, dtype="float32", name="global_skip")(inputs)
    x = layers.Add(dtype="float32", name="sum")([x, skip])
    outputs = PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    return keras.Model(inputs, outputs, name=name)
