"""Convolutional encoder and decoder, with and without skip connections."""

import keras
from keras import layers

from sr_keras.checks import check_count_lists, check_counts, check_flags, check_scale
from sr_keras.layers import BicubicUpsampling, CropLike, PadToMultiple
from sr_keras.models.network import register


@register
def autoencoder(
    scale,
    filters=(64, 64, 32),
    dilations=(1,),
    skips=True,
    channels=3,
    name="autoencoder",
):
    """Builds an encoder of strided and a decoder of transposed convolutions.

    Every level halves height and width, so the image has to pass through a code of
    `filters[-1]` values for each `2**levels x 2**levels` pixels: by default 32 values
    for the 192 of 8x8 RGB pixels. Without skip connections, the detail that the code
    has no room for is lost. With them, each level of the decoder adds the feature map
    of the same size from the encoder, and the interpolated image is added to the
    output, as in RED-Net.

    RED-Net keeps the full size throughout, with 64 filters in each of up to 30 layers,
    and so has no bottleneck. This network is a smaller and faster relative of it.

    Args:
        scale: Upscaling factor, a positive integer. The image is interpolated first. 1
            restores an image of the same size.
        filters: List of the number of channels of each level. The last one is that of
            the code.
        dilations: List of the dilation rates of the 3x3 convolutions on the code, one
            for each. With (1, 2, 4) they see 7 positions of the code in each direction,
            with (1,) one.
        skips: Whether to use skip connections.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` is not a positive integer, or another argument is not
            valid.

    Reference:
        [Mao et al., 2016](https://arxiv.org/abs/1603.09056)
    """
    scale = check_scale(scale)
    check_count_lists(filters=filters, dilations=dilations)
    check_flags(skips=skips)
    check_counts(channels=channels)

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
        # 4x4, because kernel sizes that are not multiples of the stride cause
        # checkerboard artifacts
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
    return keras.Model(inputs, outputs, name=name)
