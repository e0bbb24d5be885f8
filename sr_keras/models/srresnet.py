"""SRResNet: the generator of SRGAN."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_option, check_scale
from sr_keras.layers import ICNR, BilinearUpsampling, PixelShuffle
from sr_keras.models.network import register


@register
def srresnet(
    scale,
    filters=64,
    num_blocks=16,
    channels=3,
    variant="paper",
    name="srresnet",
):
    """Builds SRResNet: residual blocks with batch normalization.

    Trained on the squared error it is SRResNet; trained against `srgan_discriminator`
    it is the generator of SRGAN. The defaults are the paper's, which only has x4, with
    1.5 million parameters. Each PReLU learns one slope per channel, shared over space.

    In the paper HR images are in [-1, 1], and some implementations end in tanh. Here
    the output is linear and in [0, 1], like the input. Also unlike in the paper, the
    convolutions before a batch normalization have no bias, because the normalization
    would cancel it, and those before a pixel shuffle are initialized with ICNR, which
    avoids checkerboard artifacts.

    `variant="modified"` is the network that the authors of ESRGAN published as
    MSRResNet: without batch normalization and the long skip connection; 3x3 instead of
    9x9 convolutions, and one more of them before the last; ReLU inside the blocks and
    leaky ReLU of slope 0.1 outside; and it adds the bilinear interpolation of its
    input to the output. Like theirs, it starts with a tenth of the standard deviation
    of He's initializer.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual blocks.
        channels: 3 for RGB, 1 for luma.
        variant: "paper" or "modified".
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
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(filters=filters, num_blocks=num_blocks, channels=channels)
    check_option("variant", variant, ("paper", "modified"))
    factors = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]
    if variant == "modified":
        return _modified(scale, filters, num_blocks, channels, factors, name)

    inputs = keras.Input((None, None, channels), name="lr")
    x = layers.Conv2D(filters, 9, padding="same", name="head")(inputs)
    head = _prelu(x, name="head_prelu")
    x = head
    for i in range(num_blocks):
        skip = x
        x = _conv_norm(x, filters, name=f"block_{i}_conv1")
        x = _prelu(x, name=f"block_{i}_prelu")
        x = _conv_norm(x, filters, name=f"block_{i}_conv2")
        x = layers.Add(name=f"block_{i}_skip")([skip, x])
    x = _conv_norm(x, filters, name="body")
    x = layers.Add(name="global_skip")([head, x])
    for i, factor in enumerate(factors):
        x = layers.Conv2D(
            filters * factor**2,
            3,
            padding="same",
            kernel_initializer=ICNR(factor),
            name=f"upsampling_{i}",
        )(x)
        x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
        x = _prelu(x, name=f"upsampling_{i}_prelu")
    outputs = layers.Conv2D(channels, 9, padding="same", dtype="float32", name="tail")(
        x
    )
    return keras.Model(inputs, outputs, name=name)


def _modified(scale, filters, num_blocks, channels, factors, name):
    # a hundredth of the variance of he_normal, 2 / n
    start = keras.initializers.VarianceScaling(0.02, "fan_in", "truncated_normal")

    def conv(x, filters, name, slope=None, initializer=start, **kwargs):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_initializer=initializer,
            name=name,
            **kwargs,
        )(x)
        if slope is None:
            return x
        return layers.LeakyReLU(slope, name=f"{name}_relu")(x)

    inputs = keras.Input((None, None, channels), name="lr")
    x = conv(inputs, filters, "head", 0.1)
    for i in range(num_blocks):
        skip = x
        x = conv(x, filters, f"block_{i}_conv1", 0.0)
        x = conv(x, filters, f"block_{i}_conv2")
        x = layers.Add(name=f"block_{i}_skip")([skip, x])
    for i, factor in enumerate(factors):
        icnr = ICNR(factor, start)
        x = conv(x, filters * factor**2, f"upsampling_{i}", initializer=icnr)
        x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
        x = layers.LeakyReLU(0.1, name=f"upsampling_{i}_relu")(x)
    x = conv(x, filters, "reconstruction", 0.1)
    x = conv(x, channels, "tail", dtype="float32")
    image = BilinearUpsampling(scale, name="interpolation")(inputs)
    outputs = layers.Add(dtype="float32", name="skip")([x, image])
    return keras.Model(inputs, outputs, name=name)


def _conv_norm(x, filters, name):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    # Keras's default of 0.99 is too slow for short training runs
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def _prelu(x, name):
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[1, 2],
        name=name,
    )(x)
