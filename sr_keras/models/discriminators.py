"""Discriminators: networks that tell photos from what a generator made.

All of them return logits, so losses must be told `from_logits=True`.
"""

import keras
from keras import layers

from sr_keras.layers import CropLike, PadToMultiple
from sr_keras.models.arguments import check_counts


def srgan_discriminator(
    size=96,
    filters=64,
    channels=3,
    spectral_norm=False,
    name="srgan_discriminator",
):
    """Builds the discriminator of SRGAN: one verdict for a whole patch.

    Eight 3x3 convolutions, every second of stride 2, then two dense layers. The
    defaults are the paper's. Unlike the paper's, it returns a logit, without the
    sigmoid, which a loss computes more exactly; and the convolutions before a
    batch normalization have no bias, which the normalization would undo.

    Args:
        size: Height and width of the patches.
        filters: Channels of the first convolution; the last has 8 times as
            many.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether spectral normalization takes the place of batch
            normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, channels)`, in [0, 1].

    Output shape:
        `(batch, 1)`, float32 logits: positive means a photo.

    References:
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """
    return _strided(size, channels, filters, spectral_norm, name)


def feature_discriminator(
    size=6,
    channels=512,
    filters=64,
    spectral_norm=False,
    name="feature_discriminator",
):
    """Builds the feature discriminator of SRFeat: a verdict on VGG features.

    Where a discriminator of images may be convinced by noise, one of features
    asks for structure. As in the paper, the network is that of
    `srgan_discriminator`. Features of VGG19 go up to hundreds; the authors
    divide them by 12.75 before.

    Args:
        size: Height and width of the feature maps; those before VGG19's last
            pooling have a sixteenth of the patch's size, so 6 for 96 (the
            paper's patches have 296 pixels, its maps 18).
        channels: Channels of the feature maps.
        filters: Channels of the first convolution; the last has 8 times as
            many.
        spectral_norm: Whether spectral normalization takes the place of batch
            normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, channels)`

    Output shape:
        `(batch, 1)`, float32 logits: positive means features of a photo.

    Reference:
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """
    return _strided(size, channels, filters, spectral_norm, name)


def patchgan(
    filters=64,
    num_layers=3,
    channels=3,
    spectral_norm=False,
    name="patchgan",
):
    """Builds the discriminator of pix2pix: one verdict for each 70x70 patch.

    The defaults are the paper's. It sees image and condition together: for that,
    concatenate the two and set `channels=6`. Unlike the paper's, it returns
    logits, without the sigmoid; and the convolutions pad to the full size, where
    the released network loses a row and a column at each of the last two.

    Args:
        filters: Channels of the first convolution.
        num_layers: Number of convolutions of stride 2; 3 for verdicts on 70x70
            pixels, 1 on 16x16, 5 on 286x286.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether spectral normalization takes the place of batch
            normalization.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, height / 2**num_layers, width / 2**num_layers, 1)`, rounded up,
        float32 logits: positive means a photo.

    Raises:
        ValueError: If a number is not a whole one from 1.

    References:
        [Isola et al., 2017](https://arxiv.org/abs/1611.07004),
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """
    check_counts(filters=filters, num_layers=num_layers, channels=channels)

    def conv(filters, name, **kwargs):
        # the deviation of 0.02 is the paper's
        return _conv(
            filters,
            4,
            spectral_norm,
            name,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            **kwargs,
        )

    inputs = keras.Input((None, None, channels), name="image")
    x = conv(filters, strides=2, name="conv_0")(inputs)
    x = layers.LeakyReLU(0.2, name="relu_0")(x)
    for i in range(1, num_layers + 1):
        x = conv(
            filters * min(2**i, 8),
            strides=2 if i < num_layers else 1,
            use_bias=spectral_norm,
            name=f"conv_{i}",
        )(x)
        if not spectral_norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu_{i}")(x)
    outputs = conv(1, name="logits", dtype="float32")(x)
    return keras.Model(inputs, outputs, name=name)


def unet_discriminator(
    filters=64, channels=3, spectral_norm=True, name="unet_discriminator"
):
    """Builds the discriminator of Real-ESRGAN: one verdict for each pixel.

    A U-Net judges every pixel in the context of what lies around it. The
    defaults are the paper's: 4,376,897 weights. Unlike the paper's, which enlarges
    its maps bilinearly, it takes the nearest neighbours, because Keras's bilinear
    layer fails in graphs of unknown height and width; a convolution follows.

    Args:
        filters: Channels at full size; the bottom has 8 times as many.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether all convolutions but the first and the last have
            spectral normalization.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, height, width, 1)`, float32 logits: positive means a photo.

    References:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833),
        [Schönfeld et al., 2020](https://arxiv.org/abs/2002.12655)
    """

    def conv(x, filters, size, name, strides=1):
        layer = _conv(
            filters, size, spectral_norm, name, strides=strides, use_bias=False
        )
        return layers.LeakyReLU(0.2, name=f"{name}_relu")(layer(x))

    inputs = keras.Input((None, None, channels), name="image")
    x = PadToMultiple(8, name="padding")(inputs)
    x = layers.Conv2D(filters, 3, padding="same", name="head")(x)
    x = layers.LeakyReLU(0.2, name="head_relu")(x)
    skips = []
    for i in range(3):
        skips.append(x)
        x = conv(x, filters * 2 ** (i + 1), 4, strides=2, name=f"down_{i}")
    for i in reversed(range(3)):
        x = layers.UpSampling2D(2, name=f"nearest_{i}")(x)
        x = conv(x, filters * 2**i, 3, name=f"up_{i}")
        x = layers.Add(name=f"skip_{i}")([x, skips[i]])
    x = conv(x, filters, 3, name="conv_0")
    x = conv(x, filters, 3, name="conv_1")
    x = layers.Conv2D(1, 3, padding="same", dtype="float32", name="logits")(x)
    outputs = CropLike(dtype="float32", name="crop")([x, inputs])
    return keras.Model(inputs, outputs, name=name)


def _strided(size, channels, filters, spectral_norm, name):
    inputs = keras.Input((size, size, channels), name="image")
    x = inputs
    for i in range(8):
        # a batch normalization of the first would hide the image's own range
        norm = i > 0 and not spectral_norm
        x = _conv(
            filters * 2 ** (i // 2),
            3,
            spectral_norm,
            strides=1 + i % 2,
            use_bias=not norm,
            name=f"conv_{i}",
        )(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu_{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(16 * filters, name="dense")(x)
    x = layers.LeakyReLU(0.2, name="dense_relu")(x)
    outputs = layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name=name)


def _conv(filters, size, spectral_norm, name, **kwargs):
    conv = layers.Conv2D(filters, size, padding="same", name=name, **kwargs)
    if not spectral_norm:
        return conv
    # in float32, because the wrapper writes the normalized kernel back, and 16
    # bits would round the training's small steps away
    return layers.SpectralNormalization(conv, dtype="float32", name=f"{name}_spectral")
