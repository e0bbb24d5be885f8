"""FSRCNN: thin layers at low resolution, upscaled only at the end."""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_scale
from sr_keras.models.network import register


# Weights files name a layer after its class, so the class is called as that of Keras.
@keras.saving.register_keras_serializable(package="sr_keras")
class Conv2DTranspose(layers.Conv2DTranspose):
    """A transposed convolution that is fast for few output channels.

    Weights, shapes and results are those of `keras.layers.Conv2DTranspose`. The layer
    computes the `strides**2` output pixels of an input pixel as channels, by a
    transposed convolution without strides, and then puts them in place. Its kernel is
    the same one, rearranged in every call. oneDNN fills up the output channels with
    zeros to 16: of a single channel, it would compute 16 times as much as is needed.

    Args:
        filters: Number of output channels. `keras.layers.Conv2DTranspose` is faster for
            more than a few.
        kernel_size: Side of the kernel.
        strides: Factor by which the output is larger than the input.
        padding: "same", the only one that is supported.
        **kwargs: As for `keras.layers.Conv2DTranspose`.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, strides * height, strides * width, filters)`

    Raises:
        ValueError: If the kernel or the strides are not square, the padding is not
            "same", or there is dilation, output padding or another data format.
    """

    def __init__(self, filters, kernel_size, strides=1, padding="same", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        if (
            len({*self.kernel_size}) > 1
            or len({*self.strides}) > 1
            or max(self.dilation_rate) > 1
            or (self.padding, self.output_padding) != ("same", None)
            or self.data_format != "channels_last"
        ):
            raise ValueError(
                "The kernel and the strides must be square, `padding` must be"
                ' "same" and `data_format` "channels_last"; dilation and output padding'
                f" are not supported. Received: {self.get_config()}"
            )

    def call(self, inputs):
        side, stride, channels = self.kernel_size[0], self.strides[0], inputs.shape[-1]
        # Row i of the input, times row k of the kernel, is added to row
        # `stride * i + k - cut` of the output. Zeros around the kernel make it a
        # multiple of `stride` that is centered on the `stride` rows in place of row i.
        cut = max(side - stride, 0) // 2
        radius = max(-(-cut // stride), (side - 1 - cut) // stride)
        tiles = 2 * radius + 1
        before = radius * stride - cut
        around = (before, tiles * stride - side - before)
        kernel = ops.pad(self.kernel, (around, around, (0, 0), (0, 0)))
        kernel = ops.reshape(kernel, (tiles, stride, tiles, stride, -1, channels))
        kernel = ops.transpose(kernel, (0, 2, 1, 3, 4, 5))
        kernel = ops.reshape(kernel, (tiles, tiles, -1, channels))
        x = ops.conv_transpose(
            inputs, kernel, strides=1, padding="same", data_format="channels_last"
        )
        # as `ops.depth_to_space`, whose gradient is slow in TensorFlow
        batch, height, width, _ = ops.shape(inputs)
        x = ops.reshape(x, (batch * height, width, stride, stride * self.filters))
        x = ops.transpose(x, (0, 2, 1, 3))
        x = ops.reshape(x, (batch, stride * height, stride * width, self.filters))
        if self.use_bias:
            x = ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)


@register
def fsrcnn(
    scale,
    num_features=56,
    num_shrunk=12,
    num_mappings=4,
    channels=1,
    name="fsrcnn",
):
    """Builds FSRCNN: extract, shrink, map, expand, and upscale.

    The defaults are the paper's FSRCNN(56, 12, 4); FSRCNN-s is (32, 5, 1). A transposed
    convolution upscales at the end. Each PReLU learns one slope per channel, shared
    over space.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        num_features: Number of channels of the LR features, d in the paper.
        num_shrunk: Number of channels of the mapping layers, s in the paper.
        num_mappings: Number of mapping layers, m in the paper.
        channels: 1 for luma, as in the paper; 3 for RGB.
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
        [Dong et al., 2016](https://arxiv.org/abs/1608.00367)
    """
    scale = check_scale(scale)
    check_counts(
        num_features=num_features,
        num_shrunk=num_shrunk,
        num_mappings=num_mappings,
        channels=channels,
    )

    def conv_prelu(x, filters, size, name):
        x = layers.Conv2D(
            filters,
            size,
            padding="same",
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return layers.PReLU(
            alpha_initializer=keras.initializers.Constant(0.25),
            shared_axes=[1, 2],
            name=f"{name}_prelu",
        )(x)

    inputs = keras.Input((None, None, channels), name="lr")
    x = conv_prelu(inputs, num_features, 5, name="extraction")
    x = conv_prelu(x, num_shrunk, 1, name="shrinking")
    for i in range(num_mappings):
        x = conv_prelu(x, num_shrunk, 3, name=f"mapping_{i}")
    x = conv_prelu(x, num_features, 1, name="expanding")
    outputs = Conv2DTranspose(
        channels,
        9,
        strides=scale,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        dtype="float32",
        name="deconvolution",
    )(x)
    return keras.Model(inputs, outputs, name=name)
