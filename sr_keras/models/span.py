"""SPAN: attention without parameters, and convolutions that are folded into one."""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_flags, check_scale
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.network import NETWORKS, register

# Mean colour of DIV2K in RGB, as EDSR's authors measured it.
_MEAN = (0.4488, 0.4371, 0.4040)


@keras.saving.register_keras_serializable(package="sr_keras")
class FoldableConv2D(layers.Layer):
    """A 3x3 convolution that is trained as a wider product of convolutions.

    A 1x1 convolution widens the features by `gain`, a 3x3 convolution works on them,
    another 1x1 convolution narrows them, and a parallel 1x1 convolution is added. No
    activation stands between these, so that together they are one 3x3 convolution
    (re-parameterization). The layer computes the kernel of that convolution from the
    factors and applies it alone. Its gradients are those of the wide form, and no wide
    feature map is computed, but a training step takes longer than with a plain
    convolution. `fold` makes a network of plain convolutions.

    Args:
        filters: Number of output channels.
        gain: Factor by which the features are widened.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height, width, filters)`

    Raises:
        ValueError: If `filters` or `gain` is not a positive integer.

    Reference:
        [Wan et al., 2023](https://arxiv.org/abs/2311.12770)
    """

    def __init__(self, filters, gain=2, **kwargs):
        super().__init__(**kwargs)
        check_counts(filters=filters, gain=gain)
        self.filters = filters
        self.gain = gain

    def build(self, input_shape):
        inner, outer = input_shape[-1], self.filters
        wide_in, wide_out = self.gain * inner, self.gain * outer

        def weights(name, shape):
            fan_in = shape[0] if len(shape) == 2 else 9 * shape[2]
            # PyTorch's default, which the authors use
            limit = fan_in**-0.5
            start = keras.initializers.RandomUniform(-limit, limit)
            kernel = self.add_weight(
                shape=shape, initializer=start, name=f"{name}_kernel", autocast=False
            )
            bias = self.add_weight(
                shape=shape[-1:], initializer=start, name=f"{name}_bias", autocast=False
            )
            return kernel, bias

        self.widen = weights("widen", (inner, wide_in))
        self.work = weights("work", (3, 3, wide_in, wide_out))
        self.narrow = weights("narrow", (wide_out, outer))
        self.skip = weights("skip", (inner, outer))
        super().build(input_shape)

    def folded(self):
        """Returns the folded kernel `(3, 3, channels, filters)` and the bias."""
        (k1, b1), (k2, b2), (k3, b3), (k4, b4) = (
            [ops.convert_to_tensor(w) for w in pair]
            for pair in (self.widen, self.work, self.narrow, self.skip)
        )
        # (channels, wide) x (wide, filters) at each of the nine places
        kernel = ops.matmul(ops.matmul(k1, k2), k3)
        centre = ops.pad(k4[None, None], ((1, 1), (1, 1), (0, 0), (0, 0)))
        inside = ops.matmul(b1, ops.sum(k2, axis=(0, 1))) + b2
        return kernel + centre, ops.matmul(inside, k3) + b3 + b4

    def call(self, inputs):
        kernel, bias = self.folded()
        x = ops.conv(
            inputs,
            ops.cast(kernel, inputs.dtype),
            padding="same",
            data_format="channels_last",
        )
        return x + ops.cast(bias, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "gain": self.gain}


@register
def span(
    scale,
    filters=52,
    num_blocks=6,
    gain=2,
    folded=False,
    channels=3,
    name="span",
):
    """Builds SPAN: a swift network with attention that has no parameters.

    Each block multiplies its features by a symmetric function of themselves, the
    sigmoid less one half: strong responses are kept, weak ones fade. The defaults are
    the paper's network, with 498,208 weights for x4 when it is folded; its authors'
    network of NTIRE 2024 has `filters=48`. Unlike the paper's, the last convolution
    starts free of checkerboards (ICNR).

    Args:
        scale: Upscaling factor, a positive integer.
        filters: Number of channels of every feature map.
        num_blocks: Number of attention blocks.
        gain: Factor by which the convolutions are widened in training.
        folded: Whether the network has plain convolutions instead, which compute the
            same. `fold` makes such a network of one that was trained.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If an argument is not a positive integer.

    Reference:
        [Wan et al., 2023](https://arxiv.org/abs/2311.12770)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, num_blocks=num_blocks, gain=gain, channels=channels)
    check_flags(folded=folded)

    def conv(x, name):
        if folded:
            return layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return FoldableConv2D(filters, gain, name=name)(x)

    inputs = keras.Input((None, None, channels), name="lr")
    mean = _MEAN if channels == 3 else [sum(_MEAN) / 3] * channels
    x = layers.Rescaling(1.0, [-m for m in mean], name="centred")(inputs)
    head = x = conv(x, "head")
    first = inner = None
    for i in range(num_blocks):
        x, inner = _attention_block(x, conv, f"block_{i}")
        first = x if first is None else first
    x = conv(x, "body")
    # `inner` is from inside the last block
    x = layers.Concatenate(name="concat")([head, x, first, inner])
    x = layers.Conv2D(filters, 1, name="fusion")(x)
    x = layers.Conv2D(
        channels * scale**2,
        3,
        padding="same",
        kernel_initializer=ICNR(scale),
        dtype="float32",
        name="upsampling",
    )(x)
    outputs = PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    return keras.Model(inputs, outputs, name=name)


def _attention_block(x, conv, name):
    """Returns the output of a block, and its features after the first convolution."""
    skip = x
    x = conv(x, f"{name}_conv1")
    inner = x = layers.Activation("silu", name=f"{name}_silu1")(x)
    x = conv(x, f"{name}_conv2")
    x = layers.Activation("silu", name=f"{name}_silu2")(x)
    x = conv(x, f"{name}_conv3")
    attention = layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)
    attention = layers.Rescaling(1.0, -0.5, name=f"{name}_attention")(attention)
    x = layers.Add(name=f"{name}_skip")([x, skip])
    return layers.Multiply(name=f"{name}_gated")([x, attention]), inner


def fold(network):
    """Returns an equal network whose convolutions are folded into plain ones.

    A `span` that was trained computes the kernels of its `FoldableConv2D` layers anew
    in every call; the folded one has them ready, and has a quarter of the weights.

    Args:
        network: A network whose builder has an argument `folded`. Any other network
            is returned as it is.

    Returns:
        A `Network`.
    """
    identity = getattr(network, "identity", None) or {"config": {}}
    if identity["config"].get("folded", True):
        return network
    config = {**identity["config"], "folded": True}
    target = NETWORKS[identity["network"]](**config, name=network.name)
    for layer in network.layers:
        if isinstance(layer, FoldableConv2D):
            kernel, bias = map(ops.convert_to_numpy, layer.folded())
            target.get_layer(layer.name).set_weights([kernel, bias])
        elif layer.weights:
            target.get_layer(layer.name).set_weights(layer.get_weights())
    return target
