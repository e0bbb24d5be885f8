"""DBPN: upscale, downscale again, and correct by the upscaled error."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_scale
from sr_keras.models.network import register

# Kernel size for each stride.
_KERNELS = {2: 6, 4: 8, 8: 12}


@register
def dbpn(
    scale,
    filters=64,
    num_features=256,
    num_stages=7,
    channels=3,
    name="dbpn",
):
    """Builds D-DBPN: a dense deep back-projection network.

    An up-projection upscales its input, downscales the result again, and corrects the
    result by the upscaled difference. A down-projection does the same in the other
    direction. The defaults are the paper's D-DBPN, with 10,426,358 parameters for x4.
    Each PReLU learns a single slope, as in the released network.

    Args:
        scale: Upscaling factor: 2, 4 or 8. The kernels of the projections are 6x6, 8x8
            and 12x12.
        filters: Number of channels of every projection, n_R in the paper.
        num_features: Number of channels of the first convolution, n_0 in the paper.
        num_stages: Number of up-projections, T in the paper.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` is not 2, 4 or 8, or another argument is not valid.

    Reference:
        [Haris et al., 2018](https://arxiv.org/abs/1803.02735)
    """
    scale = check_scale(scale, tuple(_KERNELS))
    check_counts(
        filters=filters,
        num_features=num_features,
        num_stages=num_stages,
        channels=channels,
    )

    def project(x, kind, name):
        x = kind(
            filters,
            _KERNELS[scale],
            strides=scale,
            padding="same",
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return _prelu(x, name)

    def back_project(x, there, back, name):
        first = project(x, there, name=f"{name}_project")
        again = project(first, back, name=f"{name}_back")
        error = layers.Subtract(name=f"{name}_error")([again, x])
        error = project(error, there, name=f"{name}_correct")
        return layers.Add(name=f"{name}_sum")([first, error])

    def fuse(maps, name):
        if len(maps) == 1:
            return maps[0]
        x = layers.Concatenate(name=f"{name}_concat")(maps)
        return _conv_prelu(x, filters, 1, name=f"{name}_fusion")

    inputs = keras.Input((None, None, channels), name="lr")
    x = _conv_prelu(inputs, num_features, 3, name="head")
    low = [_conv_prelu(x, filters, 1, name="squeeze")]
    high = []
    up, down = layers.Conv2DTranspose, layers.Conv2D
    for i in range(num_stages):
        x = fuse(low, name=f"up_{i}")
        high.append(back_project(x, up, down, name=f"up_{i}"))
        if i < num_stages - 1:
            x = fuse(high, name=f"down_{i}")
            x = back_project(x, down, up, name=f"down_{i}")
            low = [x] if i == 0 else [*low, x]
    x = layers.Concatenate(name="concat")(high) if num_stages > 1 else high[0]
    outputs = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="tail")(
        x
    )
    return keras.Model(inputs, outputs, name=name)


def _conv_prelu(x, filters, size, name):
    x = layers.Conv2D(
        filters, size, padding="same", kernel_initializer="he_normal", name=name
    )(x)
    return _prelu(x, name)


def _prelu(x, name):
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[1, 2, 3],
        name=f"{name}_prelu",
    )(x)
