"""A conditional variational autoencoder: many HR images for one LR image.

Encoder and decoder share latent variables: a few numbers per LR pixel for the
information that the LR image does not have. The encoder computes their distribution
from the HR image, and the decoder makes an HR image from the LR image and the latents.
Without an HR image, the latents are drawn at random.
"""

import keras
from keras import layers, ops

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import ICNR, BicubicUpsampling, PixelShuffle
from sr_keras.models.network import Network, register

_LATE_BLOCKS = 2
_STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


@register(listed=False)
def vae_encoder(
    scale,
    filters=64,
    num_blocks=2,
    latent_channels=8,
    channels=3,
    name="vae_encoder",
):
    """Builds q(z | lr, hr): the distribution of the latents given both images.

    The encoder sees the difference between the HR image and bicubic interpolation,
    downscaled by strided convolutions to the size of the LR image, and the LR image
    itself.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual blocks.
        latent_channels: Number of latent variables per LR pixel.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        A list of `lr`, `(batch, height, width, channels)`, and `hr`,
        `(batch, scale * height, scale * width, channels)`, in [0, 1], any size.

    Output shape:
        Mean and logarithm of the variance of independent normal distributions, both
        `(batch, height, width, latent_channels)`, float32.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another argument is not valid.

    Reference:
        [Sohn et al., 2015](https://papers.nips.cc/paper/5775)
    """
    scale = _check(scale, filters, num_blocks, latent_channels, channels)

    lr = keras.Input((None, None, channels), name="lr")
    hr = keras.Input((None, None, channels), name="hr")
    image = BicubicUpsampling(scale, name="interpolation")(lr)
    x = layers.Subtract(dtype="float32", name="detail")([hr, image])
    for i, factor in enumerate(_STEPS[scale]):
        x = layers.Conv2D(
            filters,
            factor + 2,
            strides=factor,
            padding="same",
            activation="relu",
            name=f"down_{i}",
        )(x)
    head = layers.Conv2D(filters, 3, padding="same", name="head")(lr)
    x = layers.Concatenate(name="concat")([x, head])
    x = layers.Conv2D(filters, 3, padding="same", name="fusion")(x)
    for i in range(num_blocks):
        x = _residual_block(x, filters, name=f"block_{i}")
    x = layers.ReLU(name="relu")(x)

    def tail(name):
        return layers.Conv2D(latent_channels, 1, dtype="float32", name=name)(x)

    return keras.Model([lr, hr], [tail("mean"), tail("log_variance")], name=name)


@register(identity="vae", listed=False)
def vae_decoder(
    scale,
    filters=64,
    num_blocks=8,
    latent_channels=8,
    channels=3,
    name="vae_decoder",
):
    """Builds the decoder: an HR image from an LR image and latent variables.

    The network is EDSR with fewer blocks, and learns the difference from bicubic
    interpolation. The latent variables are added to the features of the LR image after
    the blocks. Each feature has a gate computed from the LR image, so that the latents
    can have no effect in a blue sky and a strong one in fur. Two more blocks follow,
    which turn the changes into shapes.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual blocks before the latent variables.
        latent_channels: Number of latent variables per LR pixel.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        A list of `lr`, `(batch, height, width, channels)`, in [0, 1], any size, and
        `z`, `(batch, height, width, latent_channels)`.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another argument is not valid.

    Reference:
        [Sohn et al., 2015](https://papers.nips.cc/paper/5775)
    """
    scale = _check(scale, filters, num_blocks, latent_channels, channels)

    lr = keras.Input((None, None, channels), name="lr")
    z = keras.Input((None, None, latent_channels), name="z")
    outputs = _decode(lr, z, scale, filters, num_blocks, channels)
    return keras.Model([lr, z], outputs, name=name)


@register
def vae(
    scale,
    filters=64,
    num_blocks=8,
    latent_channels=8,
    channels=3,
    name="vae",
):
    """Builds the upscaler of a variational autoencoder: its decoder with z = 0.

    The latents are 0, which is the mean of their prior. The weights are those of
    `vae_decoder`, which draws samples.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8. 4 and 8 are reached in steps of 2.
        filters: Number of channels of every feature map.
        num_blocks: Number of residual blocks before the latent variables.
        latent_channels: Number of latent variables per LR pixel.
        channels: 3 for RGB, 1 for luma.
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
        [Sohn et al., 2015](https://papers.nips.cc/paper/5775)
    """
    scale = _check(scale, filters, num_blocks, latent_channels, channels)

    lr = keras.Input((None, None, channels), name="lr")
    z = NoLatents(latent_channels, name="no_latents")(lr)
    outputs = _decode(lr, z, scale, filters, num_blocks, channels)
    return keras.Model(lr, outputs, name=name)


def vae_upscaler(decoder, name="vae"):
    """Makes an upscaler of a decoder by setting its latent variables to 0.

    Args:
        decoder: A `vae_decoder`. The upscaler shares its weights.
        name: Model name.

    Returns:
        A `Network`.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.
    """
    (*_, channels), (*_, latent_channels) = decoder.input_shape
    lr = keras.Input((None, None, channels), name="lr")
    z = NoLatents(latent_channels, name="no_latents")(lr)
    return Network(lr, decoder([lr, z]), scale=decoder.scale, name=name)


@keras.saving.register_keras_serializable(package="sr_keras")
class NoLatents(layers.Layer):
    """Makes latent variables of 0 for an LR image.

    Args:
        latent_channels: Number of latent variables per LR pixel.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height, width, latent_channels)`

    Raises:
        ValueError: If `latent_channels` is not a positive integer.
    """

    def __init__(self, latent_channels, **kwargs):
        super().__init__(**kwargs)
        check_counts(latent_channels=latent_channels)
        self.latent_channels = latent_channels

    def call(self, inputs):
        return ops.zeros((*ops.shape(inputs)[:-1], self.latent_channels))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.latent_channels)

    def get_config(self):
        return {**super().get_config(), "latent_channels": self.latent_channels}


def _check(scale, filters, num_blocks, latent_channels, channels):
    check_counts(
        filters=filters,
        num_blocks=num_blocks,
        latent_channels=latent_channels,
        channels=channels,
    )
    return check_scale(scale, tuple(_STEPS))


def _decode(lr, z, scale, filters, num_blocks, channels):
    def conv(filters, name, **options):
        return layers.Conv2D(filters, 3, padding="same", name=name, **options)

    x = head = conv(filters, "head")(lr)
    for i in range(num_blocks):
        x = _residual_block(x, filters, name=f"block_{i}")
    x = conv(filters, "body")(x)
    x = layers.Add(name="global_skip")([x, head])
    # the gate depends on the LR image, and sets how much the latents may change
    gate = conv(filters, "gate")(x)
    latents = conv(filters, "latents", use_bias=False)(z)
    latents = layers.Multiply(name="gated_latents")([latents, gate])
    x = layers.Add(name="with_latents")([x, latents])
    for i in range(_LATE_BLOCKS):
        x = _residual_block(x, filters, name=f"late_block_{i}")
    for i, factor in enumerate(_STEPS[scale]):
        x = conv(
            filters * factor**2, f"upsampling_{i}", kernel_initializer=ICNR(factor)
        )(x)
        x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
    x = conv(channels, "tail", dtype="float32")(x)
    image = BicubicUpsampling(scale, name="interpolation")(lr)
    return layers.Add(dtype="float32", name="skip")([x, image])


def _residual_block(x, filters, name):
    skip = x
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv1")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv2")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])
