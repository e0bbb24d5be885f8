"""SRVGGNetCompact: a plain stack of convolutions, the fast network of Real-ESRGAN."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_scale
from sr_keras.layers import ICNR, NearestUpsampling, PixelShuffle
from sr_keras.models.network import register


@register
def srvgg(
    scale,
    filters=64,
    num_convs=16,
    channels=3,
    name="srvgg",
):
    """Builds SRVGGNetCompact, the compact network of Real-ESRGAN.

    All convolutions work at the size of the LR image, without skip connections between
    them, and each but the last is followed by a PReLU with one slope per channel. The
    result of the pixel shuffle is added to the nearest-neighbour interpolation of the
    input. The defaults are those of the released network for anime videos, with 621,424
    parameters for x4; its network for photos, realesr-general-x4v3, has `num_convs=32`.
    The paper does not describe the network, only its authors' code does. Unlike there,
    the last convolution starts free of checkerboards (ICNR).

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: Number of channels of every feature map.
        num_convs: Number of convolutions between the first and the last.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If an argument is not a positive integer.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, num_convs=num_convs, channels=channels)

    x = inputs = keras.Input((None, None, channels), name="lr")
    for layer in ("head", *(f"conv_{i}" for i in range(num_convs))):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_initializer=_initializer(),
            name=layer,
        )(x)
        x = layers.PReLU(
            alpha_initializer=keras.initializers.Constant(0.25),
            shared_axes=[1, 2],
            name=f"{layer}_prelu",
        )(x)
    x = layers.Conv2D(
        channels * scale**2,
        3,
        padding="same",
        kernel_initializer=ICNR(scale, _initializer()),
        dtype="float32",
        name="subpixels",
    )(x)
    x = PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    image = NearestUpsampling(scale, dtype="float32", name="interpolation")(inputs)
    outputs = layers.Add(dtype="float32", name="skip")([x, image])
    return keras.Model(inputs, outputs, name=name)


def _initializer():
    # PyTorch's default, as in the authors' code
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
