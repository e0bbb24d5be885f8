"""WDSR: wide before the activation, thin between the blocks."""

import keras
from keras import layers, ops

from sr_keras import pretrained
from sr_keras.layers import PixelShuffle
from sr_keras.models.arguments import check_counts, check_scale


@keras.saving.register_keras_serializable(package="sr_keras")
class WeightNormalizedConv2D(layers.Conv2D):
    """A `Conv2D` that learns direction and length of its filters separately.

    A filter is `gain * kernel / length of the kernel`. The gain starts as that
    length, so that the layer starts as a plain `Conv2D`. Arguments and shapes
    are those of `keras.layers.Conv2D`.

    Reference:
        [Salimans and Kingma, 2016](https://arxiv.org/abs/1602.07868)
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(
            name="gain",
            shape=(self.filters,),
            initializer=lambda shape, dtype: _length(self.kernel),
        )

    def convolution_op(self, inputs, kernel):
        # in float32, because the squares of small weights vanish in float16
        kernel = ops.cast(kernel, "float32")
        kernel = kernel * (ops.cast(self.gain, "float32") / _length(kernel))
        return super().convolution_op(inputs, ops.cast(kernel, self.compute_dtype))

    # Conv2D's own would leave out the gain
    def save_own_variables(self, store):
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        layers.Layer.load_own_variables(self, store)


def _length(kernel):
    return ops.sqrt(ops.sum(kernel**2, axis=(0, 1, 2)) + 1e-12)


def wdsr(
    scale,
    variant="a",
    filters=32,
    num_blocks=16,
    expansion=None,
    channels=3,
    weights=None,
    name="wdsr",
):
    """Builds WDSR: residual blocks that are wide before their activation.

    The default is the authors' baseline, a WDSR-A with 1,190,100 weights for
    x2. All convolutions have normalized weights. Unlike in the paper, the mean
    colour of DIV2K is not subtracted: inputs are already in [0, 1].

    Args:
        scale: Upscaling factor, a whole number from 1; 1 restores an image of
            the same size.
        variant: "a" for blocks of two 3x3 convolutions; "b" for a 1x1 that
            widens, a 1x1 that leaves 80% of `filters`, and a 3x3.
        filters: Channels between the blocks.
        num_blocks: Number of residual blocks.
        expansion: How many times wider the blocks are inside; None for the
            authors' 4 in WDSR-A and 6 in WDSR-B.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not a whole number from 1, or `variant` not
            "a" or "b".

    Reference:
        [Yu et al., 2018](https://arxiv.org/abs/1808.08718)
    """
    scale = check_scale(scale)
    if variant not in ("a", "b"):
        raise ValueError(f'`variant` must be "a" or "b". Received: {variant}')
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
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "variant": variant,
        "filters": filters,
        "num_blocks": num_blocks,
        "expansion": expansion,
        "channels": channels,
    }
    return pretrained.load(model, weights, "wdsr", config)
