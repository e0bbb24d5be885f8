"""Discriminators: networks that distinguish photos from generated images.

All of them return logits, so use losses with `from_logits=True`. `DISCRIMINATORS`
holds the builders of those that take images, by name.

The discriminators have an option `spectral_norm`. Spectral normalization divides the
kernel of a convolution by its largest singular value, which bounds how fast the output
of the layer can change with its input. The loss of the generator then keeps a usable
gradient even if the discriminator is almost always right, and the two networks can
train at equal learning rates. It replaces batch normalization, whose statistics mix
the images of a batch. The singular value is estimated by one step of power iteration in
every training step; the vector that the iteration continues from is saved with the
weights.
"""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_flags
from sr_keras.features import FeatureExtractor
from sr_keras.layers import CropLike, PadToMultiple
from sr_keras.models.network import channels_last


@channels_last()
def srgan_discriminator(
    size=96,
    filters=64,
    channels=3,
    spectral_norm=False,
    name="srgan_discriminator",
):
    """Builds the discriminator of SRGAN: one logit for a whole patch.

    It consists of eight 3x3 convolutions, every second one with stride 2, and two dense
    layers. The defaults are the paper's. There are two differences from the paper. The
    network returns a logit, without the sigmoid, which the loss computes with less
    rounding error. And the convolutions before a batch normalization have no bias,
    because the normalization would remove it.

    Args:
        size: Height and width of the patches.
        filters: Number of channels of the first convolution; the last has 8 times as
            many.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether spectral normalization replaces batch normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, channels)`, in [0, 1].

    Output shape:
        `(batch, 1)`, float32 logits; positive means a photo.

    Raises:
        ValueError: If a number is not a positive integer, or `spectral_norm` is not a
            bool.

    References:
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """
    return _strided(size, channels, filters, spectral_norm, name)


@channels_last()
def feature_discriminator(
    size=6,
    channels=512,
    filters=64,
    spectral_norm=False,
    name="feature_discriminator",
):
    """Builds the feature discriminator of SRFeat: one logit for VGG features.

    A generator can fool a discriminator of pixels with noise. A discriminator of
    features requires structure. As in the paper, the network is the same as
    `srgan_discriminator`. Features of VGG19 have values up to several hundred; the
    authors divide them by 12.75 first.

    Args:
        size: Height and width of the feature maps. Before VGG19's last pooling, maps
            have a sixteenth of the size of the patch: 6 for 96 pixels. (In the paper
            patches have 296 pixels and maps 18.)
        channels: Number of channels of the feature maps.
        filters: Number of channels of the first convolution; the last has 8 times as
            many.
        spectral_norm: Whether spectral normalization replaces batch normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, channels)`

    Output shape:
        `(batch, 1)`, float32 logits; positive means features of a photo.

    Raises:
        ValueError: If a number is not a positive integer, or `spectral_norm` is not a
            bool.

    Reference:
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """
    return _strided(size, channels, filters, spectral_norm, name)


@channels_last()
def patchgan(
    filters=64,
    num_layers=3,
    channels=3,
    spectral_norm=False,
    name="patchgan",
):
    """Builds the discriminator of pix2pix: one logit for each 70x70 patch.

    The defaults are the paper's. In the paper, the discriminator sees the image
    together with its condition; to do this, concatenate the two and set `channels=6`.
    There are two differences from the paper: the network returns logits, without the
    sigmoid, and its convolutions pad to the full size, while the released network loses
    a row and a column at each of the last two convolutions.

    Args:
        filters: Number of channels of the first convolution.
        num_layers: Number of convolutions with stride 2. With 3 of them every logit
            depends on 70x70 pixels, with 1 on 16x16, with 5 on 286x286.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether spectral normalization replaces batch normalization.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, height / 2**num_layers, width / 2**num_layers, 1)`, rounded up,
        float32 logits; positive means a photo.

    Raises:
        ValueError: If a number is not a positive integer, or `spectral_norm` is not a
            bool.

    References:
        [Isola et al., 2017](https://arxiv.org/abs/1611.07004),
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """
    check_counts(filters=filters, num_layers=num_layers, channels=channels)
    check_flags(spectral_norm=spectral_norm)

    def conv(filters, name, **kwargs):
        # the standard deviation of 0.02 is the paper's
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


@channels_last()
def unet_discriminator(
    filters=64, channels=3, spectral_norm=True, name="unet_discriminator"
):
    """Builds the discriminator of Real-ESRGAN: one logit for each pixel.

    A U-Net classifies every pixel in the context of its surroundings. The defaults are
    the paper's, with 4,376,897 weights. The paper enlarges feature maps bilinearly.
    This network uses nearest neighbours, followed by a convolution as in the paper,
    because the bilinear layer of Keras fails in graphs of unknown height and width.

    Args:
        filters: Number of channels at full size; the lowest level has 8 times as many.
        channels: 3 for RGB, 1 for luma.
        spectral_norm: Whether all convolutions except the first and the last have
            spectral normalization.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, height, width, 1)`, float32 logits; positive means a photo.

    Raises:
        ValueError: If a number is not a positive integer, or `spectral_norm` is not a
            bool.

    References:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833),
        [Schönfeld et al., 2020](https://arxiv.org/abs/2002.12655)
    """
    check_counts(filters=filters, channels=channels)
    check_flags(spectral_norm=spectral_norm)

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


@channels_last()
def srfeat_discriminator(
    size=96, filters=64, spectral_norm=False, name="srfeat_discriminator"
):
    """Builds both discriminators of SRFeat: of the pixels and of their VGG54 features.

    Args:
        size: Height and width of the patches, a multiple of 16.
        filters: Number of channels of the first convolution of both.
        spectral_norm: Whether spectral normalization replaces batch normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, 3)`, in [0, 1].

    Output shape:
        A list of two `(batch, 1)`, float32 logits; positive means a photo.

    Raises:
        ValueError: If a number is not a positive integer, `size` is not a multiple of
            16, or `spectral_norm` is not a bool.

    Reference:
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """
    check_counts(size=size, filters=filters)
    check_flags(spectral_norm=spectral_norm)
    if size % 16:
        raise ValueError(f"`size` must be a multiple of 16. Received: size={size}")
    inputs = keras.Input((size, size, 3), name="image")
    of_pixels = srgan_discriminator(size, filters, spectral_norm=spectral_norm)
    of_features = feature_discriminator(
        size // 16, filters=filters, spectral_norm=spectral_norm
    )
    outputs = [of_pixels(inputs), of_features(VGG54(name="vgg54")(inputs))]
    return keras.Model(inputs, outputs, name=name)


@channels_last()
def vgg_discriminator(
    features=("vgg19/block1_conv2", "vgg19/block2_conv2", "vgg19/block3_conv4"),
    filters=64,
    spectral_norm=False,
    name="vgg_discriminator",
):
    """Builds a discriminator of VGG19's features: one logit for each of their pixels.

    Each layer of features has three convolutions of its own, of 1x1, 3x3 and 3x3
    pixels, and acts as a discriminator of its own. VGG19 itself is not trained. Since
    its features already tell textures apart, this discriminator needs tens of steps
    where one of pixels needs hundreds. Trained alone against `edsr-x4-bsds`, its loss
    at block3_conv4 was 0.34 after 50 steps, and that of `unet_discriminator` without
    spectral normalization 1.22 after 200; guessing has 1.39
    (`benchmarks/TRAINING_LOG.md`).

    The idea is that of Projected GAN, whose features are those of an EfficientNet,
    mixed at random across layers. Here they are used as they are.

    Args:
        features: Names of one or more convolutions of VGG19, see
            `sr_keras.features`. They are taken after their ReLU and divided by their
            root mean square on photos.
        filters: Number of channels of the convolutions.
        spectral_norm: Whether spectral normalization is applied to the first two
            convolutions of each layer.
        name: Model name.

    Input shape:
        `(batch, height, width, 3)`, in [0, 1], any size.

    Output shape:
        A list with `(batch, height / n, width / n, 1)` for each of `features`, float32
        logits; positive means a photo. n is 1, 2, 4, 8 and 16 in the five blocks of
        VGG19.

    Raises:
        ValueError: If `filters` is not a positive integer, `spectral_norm` is not a
            bool, or `features` is empty or names anything but convolutions of VGG19.

    Reference:
        [Sauer et al., 2021](https://arxiv.org/abs/2111.01007)
    """
    check_counts(filters=filters)
    check_flags(spectral_norm=spectral_norm)
    inputs = keras.Input((None, None, 3), name="image")
    outputs = []
    extract = VGGFeatures(features, name="vgg19")
    for layer, x in zip(extract.features, extract(inputs), strict=True):
        part = layer.partition("/")[2]
        for i, size in enumerate((1, 3)):
            x = _conv(filters, size, spectral_norm, name=f"{part}_conv_{i}")(x)
            x = layers.LeakyReLU(0.2, name=f"{part}_relu_{i}")(x)
        logits = layers.Conv2D(
            1, 3, padding="same", dtype="float32", name=f"{part}_logits"
        )
        outputs.append(logits(x))
    return keras.Model(inputs, outputs, name=name)


DISCRIMINATORS = {
    "srgan_discriminator": srgan_discriminator,
    "patchgan": patchgan,
    "unet_discriminator": unet_discriminator,
    "srfeat_discriminator": srfeat_discriminator,
    "vgg_discriminator": vgg_discriminator,
}

# Root mean square of the features of VGG19 after ReLU, over 160 patches of BSDS500.
_RMS = {
    "block1_conv1": 44,
    "block1_conv2": 183,
    "block2_conv1": 210,
    "block2_conv2": 249,
    "block3_conv1": 267,
    "block3_conv2": 308,
    "block3_conv3": 533,
    "block3_conv4": 884,
    "block4_conv1": 933,
    "block4_conv2": 732,
    "block4_conv3": 464,
    "block4_conv4": 187,
    "block5_conv1": 136,
    "block5_conv2": 62,
    "block5_conv3": 27,
    "block5_conv4": 7,
}


@keras.saving.register_keras_serializable(package="sr_keras")
class VGGFeatures(layers.Layer):
    """Computes features of VGG19, each divided by its root mean square on photos.

    The weights of VGG19 do not belong to the layer. They are neither trained nor saved,
    see `features.FeatureExtractor`.

    Args:
        features: Names of one or more convolutions, such as "vgg19/block2_conv2".

    Input shape:
        `(batch, height, width, 3)`, in [0, 1].

    Output shape:
        A list with `(batch, height / n, width / n, filters)` for each of `features`,
        float32. n is 1, 2, 4, 8 and 16 in the five blocks, and sizes are rounded down.

    Raises:
        ValueError: If `features` is empty or names anything else.
    """

    def __init__(self, features, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.features = [features] if isinstance(features, str) else list(features)
        known = [f"vgg19/{layer}" for layer in _RMS]
        if not self.features or set(self.features) - set(known):
            raise ValueError(
                f"`features` must name convolutions of VGG19: {', '.join(known)}."
                f" Received: features={features!r}"
            )
        self._divisors = [_RMS[name.partition("/")[2]] for name in self.features]
        self.extractor = FeatureExtractor(self.features)

    def call(self, inputs):
        found = self.extractor(inputs)
        return [x / rms for x, rms in zip(found, self._divisors, strict=True)]

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        shapes = []
        for name in self.features:
            block = int(name[len("vgg19/block")])
            sides = (None if n is None else n >> (block - 1) for n in (height, width))
            shapes.append((batch, *sides, min(32 << block, 512)))
        return shapes

    def get_config(self):
        return {**super().get_config(), "features": self.features}


@keras.saving.register_keras_serializable(package="sr_keras")
class VGG54(layers.Layer):
    """Computes the features of the last convolution of VGG19, divided by 12.75.

    The weights of VGG19 do not belong to the layer. They are neither trained nor saved,
    see `features.FeatureExtractor`.

    Input shape:
        `(batch, height, width, 3)`, in [0, 1].

    Output shape:
        `(batch, height / 16, width / 16, 512)`, rounded down, float32.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.extractor = FeatureExtractor(["VGG54"])

    def call(self, inputs):
        return self.extractor(inputs)[0] / 12.75

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sides = [None if n is None else n // 16 for n in (height, width)]
        return (batch, *sides, 512)


@keras.saving.register_keras_serializable(package="sr_keras")
class SpectralNormalization(layers.SpectralNormalization):
    """Spectral normalization that trains identically on every backend of Keras.

    In training, the layer of Keras replaces the kernel by the normalized kernel. On
    TensorFlow the gradient is that with respect to the normalized kernel. On JAX, Keras
    would differentiate through the normalization. Here the gradient is the first one
    on all backends.
    """

    def normalized_weights(self):
        vector_u, normalized = super().normalized_weights()
        kernel = self.kernel.value
        return vector_u, kernel + ops.stop_gradient(normalized - kernel)


def _strided(size, channels, filters, spectral_norm, name):
    check_counts(size=size, channels=channels, filters=filters)
    check_flags(spectral_norm=spectral_norm)
    inputs = keras.Input((size, size, channels), name="image")
    x = inputs
    for i in range(8):
        # batch normalization after the first would hide the range of the image
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
    # In float32, because the wrapper writes the normalized kernel back. 16 bits would
    # round small training steps away.
    return SpectralNormalization(conv, dtype="float32", name=f"{name}_spectral")
