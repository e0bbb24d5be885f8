"""A conditional variational autoencoder: many HR images for one LR image.

The two networks meet in latent variables: numbers for each LR pixel that say what
the LR image does not. The encoder reads them from the HR image, the decoder makes
an HR image of the LR image and them. Where there is no HR image, they are drawn
at random.
"""

import keras
from keras import layers, ops

from sr_keras import pretrained
from sr_keras.layers import ICNR, BicubicUpsampling, PixelShuffle
from sr_keras.models.arguments import check_counts, check_scale

_LATE_BLOCKS = 2
_STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


def vae_encoder(
    scale,
    filters=64,
    num_blocks=2,
    latent_channels=8,
    channels=3,
    weights=None,
    name="vae_encoder",
):
    """Builds q(z | lr, hr): which latent variables an HR image speaks for.

    It sees what bicubic interpolation misses of the HR image, reduced by strided
    convolutions to the size of the LR image.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_blocks: Number of residual blocks.
        latent_channels: Latent variables for each LR pixel.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        A list of `lr`, `(batch, height, width, channels)`, and `hr`, `(batch,
        scale * height, scale * width, channels)`, in [0, 1], any size.

    Output shape:
        Mean and logarithm of the variance of independent normal distributions,
        both `(batch, height, width, latent_channels)`, float32.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another number is
            out of range.
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

    model = keras.Model([lr, hr], [tail("mean"), tail("log_variance")], name=name)
    config = _config(scale, filters, num_blocks, latent_channels, channels)
    return pretrained.load(model, weights, "vae_encoder", config, pretrained.ENCODERS)


def vae_decoder(
    scale,
    filters=64,
    num_blocks=8,
    latent_channels=8,
    channels=3,
    weights=None,
    name="vae_decoder",
):
    """Builds the HR image that an LR image and latent variables make together.

    EDSR, with fewer blocks; it learns what bicubic interpolation misses. The latent
    variables are added to what its blocks say of the LR image, each feature times a
    gate that depends on the LR image as well: so they can be silent in a blue sky and
    loud in fur. Two more blocks follow, in which the changes become shapes.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_blocks: Number of residual blocks before the latent variables.
        latent_channels: Latent variables for each LR pixel.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        A list of `lr`, `(batch, height, width, channels)`, in [0, 1], any size,
        and `z`, `(batch, height, width, latent_channels)`.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not 2, 3, 4 or 8, or another number is
            out of range.
    """
    scale = _check(scale, filters, num_blocks, latent_channels, channels)

    lr = keras.Input((None, None, channels), name="lr")
    z = keras.Input((None, None, latent_channels), name="z")
    outputs = _decode(lr, z, scale, filters, num_blocks, channels)
    model = keras.Model([lr, z], outputs, name=name)
    config = _config(scale, filters, num_blocks, latent_channels, channels)
    return pretrained.load(model, weights, "vae", config)


def vae(
    scale,
    filters=64,
    num_blocks=8,
    latent_channels=8,
    channels=3,
    weights=None,
    name="vae",
):
    """Builds what a variational autoencoder upscales with: its decoder, for z = 0.

    That is the mean of what it can imagine. The weights are those of
    `vae_decoder`, which makes samples.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8; 4 and 8 are steps of 2.
        filters: Channels of every feature map.
        num_blocks: Number of residual blocks before the latent variables.
        latent_channels: Latent variables for each LR pixel.
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
    """
    scale = _check(scale, filters, num_blocks, latent_channels, channels)

    lr = keras.Input((None, None, channels), name="lr")
    z = NoLatents(latent_channels, name="no_latents")(lr)
    outputs = _decode(lr, z, scale, filters, num_blocks, channels)
    model = keras.Model(lr, outputs, name=name)
    config = _config(scale, filters, num_blocks, latent_channels, channels)
    return pretrained.load(model, weights, "vae", config)


def vae_upscaler(decoder, name="vae"):
    """Makes an upscaler of a decoder: its image for latent variables of 0.

    Args:
        decoder: A `vae_decoder`, whose weights it shares.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.
    """
    (*_, channels), (*_, latent_channels) = decoder.input_shape
    lr = keras.Input((None, None, channels), name="lr")
    z = NoLatents(latent_channels, name="no_latents")(lr)
    return keras.Model(lr, decoder([lr, z]), name=name)


@keras.saving.register_keras_serializable(package="sr_keras")
class NoLatents(layers.Layer):
    """Makes latent variables of 0 for an LR image.

    Args:
        latent_channels: Latent variables for each LR pixel.

    Output shape:
        `(batch, height, width, latent_channels)`
    """

    def __init__(self, latent_channels, **kwargs):
        super().__init__(**kwargs)
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


def _config(scale, filters, num_blocks, latent_channels, channels):
    return {
        "scale": scale,
        "filters": filters,
        "num_blocks": num_blocks,
        "latent_channels": latent_channels,
        "channels": channels,
    }


def _decode(lr, z, scale, filters, num_blocks, channels):
    def conv(filters, name, **options):
        return layers.Conv2D(filters, 3, padding="same", name=name, **options)

    x = head = conv(filters, "head")(lr)
    for i in range(num_blocks):
        x = _residual_block(x, filters, name=f"block_{i}")
    x = conv(filters, "body")(x)
    x = layers.Add(name="global_skip")([x, head])
    # by what stands in the LR image, the gate decides how much the latents may change
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
