"""SRResNet: the generator of SRGAN."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import ICNR, PixelShuffle
from sr_keras.models.arguments import check_counts, check_scale


def srresnet(
    scale,
    filters=64,
    num_blocks=16,
    channels=3,
    weights=None,
    name="srresnet",
):
    """Builds SRResNet: residual blocks with batch normalization.

    Trained on the squared error it is SRResNet; trained against
    `srgan_discriminator`, SRGAN. The defaults are the paper's, which has x4
    alone, with 1.5 million weights. Each PReLU learns one slope per channel,
    shared over space.

    Unlike the paper, whose photos are in [-1, 1] (some implementations end in
    tanh for that), the output is linear and in [0, 1], as the input. Also unlike
    it, the convolutions before a batch normalization have no bias, which the
    normalization would undo, and those before a pixel shuffle start free of
    checkerboards (ICNR).

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_blocks: Number of residual blocks.
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
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802)
    """
    scale = check_scale(scale, (2, 3, 4, 8))
    check_counts(filters=filters, num_blocks=num_blocks, channels=channels)

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
    for i, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
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
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_blocks": num_blocks,
        "channels": channels,
    }
    return pretrained.load(model, weights, "srresnet", config)


def _conv_norm(x, filters, name):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    # Keras's momentum of 0.99 follows a short training too slowly
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def _prelu(x, name):
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[1, 2],
        name=name,
    )(x)
