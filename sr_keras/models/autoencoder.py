"""Convolutional encoder and decoder, with and without symmetric skips."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import BicubicUpsampling, CropLike, PadToMultiple
from sr_keras.models.arguments import check_counts, check_scale


def autoencoder(
    scale,
    filters=(64, 64, 32),
    dilations=(1,),
    skips=True,
    channels=3,
    weights=None,
    name="autoencoder",
):
    """Builds an encoder of strided and a decoder of transposed convolutions.

    Every level halves height and width, so between the two stands a code of
    `filters[-1]` values for each `2**levels x 2**levels` pixels: by default 32
    for the 192 values of 8x8 RGB pixels. Without skips the whole image has to
    pass through it, and loses its detail. With them, each level of the decoder
    adds the map of the same size from the encoder, and the output adds the
    interpolated image, as in RED-Net.

    RED-Net keeps the full size throughout, with 64 filters in each of up to 30
    layers, and so has no bottleneck; this is its smaller, faster relative.

    Args:
        scale: Upscaling factor, a whole number from 1; the image is
            interpolated first. 1 restores an image of the same size.
        filters: Channels of each level, the code's last.
        dilations: Dilation rates of the convolutions on the code, one for
            each; (1, 2, 4) look 7 of its pixels far, (1,) one.
        skips: Whether the decoder sees the maps of the encoder.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped.

    Raises:
        ValueError: If `scale` is not a whole number from 1, or another number is
            out of range.

    Reference:
        [Mao et al., 2016](https://arxiv.org/abs/1603.09056)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, dilations=dilations, channels=channels)

    def conv(filters, **kwargs):
        return layers.Conv2D(filters, 3, padding="same", activation="relu", **kwargs)

    inputs = keras.Input((None, None, channels), name="lr")
    image = BicubicUpsampling(scale, name="interpolation")(inputs)
    x = PadToMultiple(2 ** len(filters), name="padding")(image)
    x = conv(filters[0], name="head")(x)
    maps = []
    for i, width in enumerate(filters):
        maps.append(x)
        x = conv(width, strides=2, name=f"down_{i}")(x)
        x = conv(width, name=f"encoder_{i}")(x)
    for i, rate in enumerate(dilations):
        x = conv(filters[-1], dilation_rate=rate, name=f"code_{i}")(x)
    for i, skip in reversed(list(enumerate(maps))):
        width = skip.shape[-1]
        # 4x4, because a size that is no multiple of the stride leaves checkerboards
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same", name=f"up_{i}")(
            x
        )
        if skips:
            x = layers.Add(name=f"skip_{i}")([x, skip])
        x = layers.ReLU(name=f"up_{i}_relu")(x)
        x = conv(width, name=f"decoder_{i}")(x)
    x = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="tail")(x)
    outputs = CropLike(dtype="float32", name="crop")([x, image])
    if skips:
        outputs = layers.Add(dtype="float32", name="skip")([outputs, image])
    model = keras.Model(inputs, outputs, name=name)
    config = {
        "scale": scale,
        "filters": list(filters),
        "dilations": list(dilations),
        "skips": skips,
        "channels": channels,
    }
    return pretrained.load(model, weights, "autoencoder", config)
