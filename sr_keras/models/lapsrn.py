"""LapSRN: a Laplacian pyramid, upscaled level by level."""

import keras
import numpy as np
from keras import layers

from sr_keras.checks import check_counts, check_flags, check_scale
from sr_keras.models.network import register


@keras.saving.register_keras_serializable(package="sr_keras")
class Bilinear(keras.initializers.Initializer):
    """Initializes a 4x4 transposed convolution of stride 2 as bilinear upsampling.

    Each output channel starts as the upscaled input channel of the same index.

    Raises:
        ValueError: If the kernel is not 4x4 with as many input as output channels.
    """

    def __call__(self, shape, dtype=None):
        if tuple(shape[:2]) != (4, 4) or shape[2] != shape[3]:
            raise ValueError(
                "The kernel must be 4x4, with as many input as output channels."
                f" Received: shape={tuple(shape)}"
            )
        line = np.array([0.25, 0.75, 0.75, 0.25])
        kernel = np.einsum("y,x,cd->yxcd", line, line, np.eye(shape[2]))
        return keras.ops.convert_to_tensor(kernel, dtype=dtype)


@register(free=("all_levels",))
def lapsrn(
    scale,
    filters=64,
    num_convs=None,
    all_levels=False,
    channels=1,
    name="lapsrn",
):
    """Builds LapSRN: a Laplacian pyramid super-resolution network.

    Each level doubles the size of the image by a transposed convolution, which is
    initialized as bilinear interpolation, and adds a residual predicted from features.
    The levels share no parameters. For x4, the network has 813 thousand parameters
    without biases, which is the paper's number. It is also that of the released
    network, whose transposed convolutions of features are 3x3, although the text says
    4x4. Unlike in the released network, the first convolution uses He's initializer,
    like all others.

    With `all_levels` the network has the same weights. Train it that way with one loss
    per output, then load its weights into a network without `all_levels`.

    Args:
        scale: Upscaling factor: 2, 4 or 8.
        filters: Number of channels of every feature map.
        num_convs: Number of convolutions on each level. None for the paper's choice:
            10, and 5 for x8.
        all_levels: Whether to return a dictionary of the images of all levels, such as
            `{"x2": ..., "x4": ...}`.
        channels: 1 for luma, as in the paper; 3 for RGB.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped. With
        `all_levels`, one such tensor for each level.

    Raises:
        ValueError: If `scale` is not 2, 4 or 8, or another argument is not valid.

    Reference:
        [Lai et al., 2017](https://arxiv.org/abs/1704.03915)
    """
    scale = check_scale(scale, (2, 4, 8))
    if num_convs is None:
        num_convs = 5 if scale == 8 else 10
    check_counts(filters=filters, num_convs=num_convs, channels=channels)
    check_flags(all_levels=all_levels)

    def activate(layer, x):
        return layers.LeakyReLU(0.2, name=f"{layer.name}_relu")(layer(x))

    def conv(filters, kind=layers.Conv2D, **kwargs):
        return kind(
            filters, 3, padding="same", kernel_initializer="he_normal", **kwargs
        )

    inputs = keras.Input((None, None, channels), name="lr")
    x = activate(conv(filters, name="head"), inputs)
    image = inputs
    outputs = {}
    for factor in [f for f in (2, 4, 8) if f <= scale]:
        level = f"x{factor}"
        for i in range(num_convs):
            x = activate(conv(filters, name=f"{level}_conv_{i}"), x)
        up = conv(filters, layers.Conv2DTranspose, strides=2, name=f"{level}_up")
        x = activate(up, x)
        residual = conv(channels, dtype="float32", name=f"{level}_residual")(x)
        image = layers.Conv2DTranspose(
            channels,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=Bilinear(),
            dtype="float32",
            name=f"{level}_interpolation",
        )(image)
        image = layers.Add(dtype="float32", name=level)([image, residual])
        outputs[level] = image
    return keras.Model(inputs, outputs if all_levels else image, name=name)
