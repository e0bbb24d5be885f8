"""FSRCNN: thin layers at low resolution, upscaled only at the end."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_scale
from sr_keras.models.network import register


@register
def fsrcnn(
    scale,
    num_features=56,
    num_shrunk=12,
    num_mappings=4,
    channels=1,
    name="fsrcnn",
):
    """Builds FSRCNN: extract, shrink, map, expand, and upscale.

    The defaults are the paper's FSRCNN(56, 12, 4); FSRCNN-s is (32, 5, 1). A transposed
    convolution upscales at the end. Each PReLU learns one slope per channel, shared
    over space.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        num_features: Number of channels of the LR features, d in the paper.
        num_shrunk: Number of channels of the mapping layers, s in the paper.
        num_mappings: Number of mapping layers, m in the paper.
        channels: 1 for luma, as in the paper; 3 for RGB.
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
        [Dong et al., 2016](https://arxiv.org/abs/1608.00367)
    """
    scale = check_scale(scale)
    check_counts(
        num_features=num_features,
        num_shrunk=num_shrunk,
        num_mappings=num_mappings,
        channels=channels,
    )

    def conv_prelu(x, filters, size, name):
        x = layers.Conv2D(
            filters,
            size,
            padding="same",
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return layers.PReLU(
            alpha_initializer=keras.initializers.Constant(0.25),
            shared_axes=[1, 2],
            name=f"{name}_prelu",
        )(x)

    inputs = keras.Input((None, None, channels), name="lr")
    x = conv_prelu(inputs, num_features, 5, name="extraction")
    x = conv_prelu(x, num_shrunk, 1, name="shrinking")
    for i in range(num_mappings):
        x = conv_prelu(x, num_shrunk, 3, name=f"mapping_{i}")
    x = conv_prelu(x, num_features, 1, name="expanding")
    outputs = layers.Conv2DTranspose(
        channels,
        9,
        strides=scale,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        dtype="float32",
        name="deconvolution",
    )(x)
    return keras.Model(inputs, outputs, name=name)
