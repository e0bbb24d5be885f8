"""The denoiser of a diffusion model: a small U-Net, given the time and the LR image.

`training.Diffusion` trains it, and calls it many times to turn noise into an image.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import (
    BicubicUpsampling,
    CropLike,
    NearestUpsampling,
    PadToMultiple,
    PixelShuffle,
    PixelUnshuffle,
)
from sr_keras.models.network import Network, register

_GROUPS = 8


@register(listed=False)
def denoiser(
    scale,
    filters=32,
    num_levels=3,
    patch_size=2,
    channels=3,
    name="denoiser",
):
    """Builds a conditional U-Net that says which noise is in an image.

    As in SR3, the network sees the noisy image together with the bicubically upscaled
    LR image. It consists of DDPM's residual blocks: group normalization, Swish and a
    convolution, twice, with the embedded time added in between.

    The network is meant for small images and CPUs, and differs from both papers: it
    works on patches of `patch_size x patch_size` pixels as if each were one pixel with
    more channels, it has one block per level on either side, no attention and no
    dropout, and its output is the velocity of Salimans and Ho in place of the noise
    (see `training.Diffusion`). The defaults have 811,564 weights; SR3 has 550 million.

    Args:
        scale: Upscaling factor, a positive integer.
        filters: Number of channels of the first level, a multiple of 8. Each level has
            twice as many as the previous one.
        num_levels: Number of levels. Each has half the size of the previous one.
        patch_size: Side of the patches that the first level sees as a pixel.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        A list of `noisy`, `(batch, scale * height, scale * width, channels)`, an image
        in [-1, 1] with noise; `time`, `(batch,)`, from 0 (no noise) to 1 (noise only);
        and `lr`, `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `filters` is not a multiple of 8, or an argument is not a
            positive integer.

    References:
        [Ho et al., 2020](https://arxiv.org/abs/2006.11239),
        [Saharia et al., 2021](https://arxiv.org/abs/2104.07636),
        [Salimans and Ho, 2022](https://arxiv.org/abs/2202.00512)
    """
    scale = check_scale(scale)
    check_counts(
        filters=filters,
        num_levels=num_levels,
        patch_size=patch_size,
        channels=channels,
    )
    if filters % _GROUPS:
        raise ValueError(
            f"`filters` must be a multiple of {_GROUPS}. Received: filters={filters}"
        )
    widths = [filters * 2**i for i in range(num_levels)]

    noisy = keras.Input((None, None, channels), name="noisy")
    time = keras.Input((), name="time")
    lr = keras.Input((None, None, channels), name="lr")

    embedding = TimeEmbedding(filters, name="time_embedding")(time)
    embedding = layers.Dense(4 * filters, activation="swish", name="time_dense")(
        embedding
    )

    image = BicubicUpsampling(scale, name="interpolation")(lr)
    image = layers.Rescaling(2.0, -1.0, dtype="float32", name="signed")(image)
    x = layers.Concatenate(name="concat")([noisy, image])
    x = PadToMultiple(patch_size * 2 ** (num_levels - 1), name="padding")(x)
    x = PixelUnshuffle(patch_size, name="patches")(x)
    x = layers.Conv2D(filters, 3, padding="same", name="head")(x)
    skips = []
    for i, width in enumerate(widths[:-1]):
        x = _residual_block(x, embedding, width, name=f"encoder_{i}")
        skips.append(x)
        x = layers.Conv2D(
            widths[i + 1], 3, strides=2, padding="same", name=f"down_{i}"
        )(x)
    for i in range(2):
        x = _residual_block(x, embedding, widths[-1], name=f"bottom_{i}")
    for i in reversed(range(num_levels - 1)):
        x = layers.Conv2D(widths[i], 1, name=f"narrow_{i}")(x)
        x = NearestUpsampling(2, name=f"up_{i}")(x)
        x = layers.Concatenate(name=f"skip_{i}")([x, skips[i]])
        x = _residual_block(x, embedding, widths[i], name=f"decoder_{i}")
    x = _normalized(x, name="tail")
    x = layers.Conv2D(
        channels * patch_size**2,
        3,
        padding="same",
        kernel_initializer="zeros",
        dtype="float32",
        name="tail",
    )(x)
    x = PixelShuffle(patch_size, dtype="float32", name="pixels")(x)
    outputs = CropLike(dtype="float32", name="crop")([x, noisy])
    return keras.Model([noisy, time, lr], outputs, name=name)


def denoiser_upscaler(denoiser, name="diffusion"):
    """Makes an upscaler of a denoiser: its answer when there is nothing but noise.

    At time 1 the noisy image says nothing about the HR image, and a denoiser trained on
    squared errors predicts the mean of all HR images that match the LR image. The
    upscaler gives it zeros, the mean of the noise.

    Args:
        denoiser: A `denoiser`. The upscaler shares its weights.
        name: Model name.

    Returns:
        A `Network`.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.
    """
    channels = denoiser.input_shape[-1][-1]
    lr = keras.Input((None, None, channels), name="lr")
    noisy, time = OnlyNoise(denoiser.scale, name="only_noise")(lr)
    velocity = denoiser([noisy, time, lr])
    # at time 1 the velocity is minus the image in [-1, 1]
    outputs = layers.Rescaling(-0.5, 0.5, dtype="float32", name="unsigned")(velocity)
    return Network(lr, outputs, scale=denoiser.scale, name=name)


@keras.saving.register_keras_serializable(package="sr_keras")
class TimeEmbedding(layers.Layer):
    """Turns a time into sines and cosines of it.

    As in DDPM, the wavelengths are geometric. There, times are integers up to 1000;
    here they are in [0, 1], and are multiplied by 1000.

    Args:
        size: Number of values, an even positive integer.

    Input shape:
        `(batch,)`, in [0, 1].

    Output shape:
        `(batch, size)`: first the sines, then the cosines, float32.

    Raises:
        ValueError: If `size` is not an even positive integer.

    References:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762),
        [Ho et al., 2020](https://arxiv.org/abs/2006.11239)
    """

    def __init__(self, size, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        check_counts(size=size)
        if size % 2:
            raise ValueError(f"`size` must be even. Received: size={size}")
        self.size = size
        half = size // 2
        powers = np.arange(half) / max(half - 1, 1)
        self._frequencies = (1000 * np.exp(-math.log(10_000) * powers)).astype(
            "float32"
        )

    def call(self, inputs):
        angles = inputs[:, None] * self._frequencies
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="sr_keras")
class OnlyNoise(layers.Layer):
    """Makes the inputs of a denoiser at time 1: a noisy image of zeros, and the time.

    Args:
        scale: Upscaling factor.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        A list with `(batch, scale * height, scale * width, channels)` and `(batch,)`,
        float32.

    Raises:
        ValueError: If `scale` is not a positive integer.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.scale = check_scale(scale)

    def call(self, inputs):
        batch, height, width, channels = ops.shape(inputs)
        shape = (batch, self.scale * height, self.scale * width, channels)
        return [ops.zeros(shape), ops.ones((batch,))]

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = [None if side is None else self.scale * side for side in sides]
        return [(batch, *sides, channels), (batch,)]

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def _normalized(x, name):
    x = layers.GroupNormalization(_GROUPS, name=f"{name}_norm")(x)
    return layers.Activation("swish", name=f"{name}_swish")(x)


def _residual_block(x, embedding, filters, name):
    skip = x
    if x.shape[-1] != filters:
        skip = layers.Conv2D(filters, 1, name=f"{name}_project")(skip)
    x = _normalized(x, name=f"{name}_1")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv1")(x)
    time = layers.Dense(filters, name=f"{name}_time")(embedding)
    time = layers.Reshape((1, 1, filters), name=f"{name}_time_pixel")(time)
    x = layers.Add(name=f"{name}_with_time")([x, time])
    x = _normalized(x, name=f"{name}_2")
    # DDPM starts with blocks that change nothing
    x = layers.Conv2D(
        filters, 3, padding="same", kernel_initializer="zeros", name=f"{name}_conv2"
    )(x)
    return layers.Add(name=f"{name}_add")([x, skip])
