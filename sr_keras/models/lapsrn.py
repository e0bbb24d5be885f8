"""LapSRN: a Laplacian pyramid, enlarged level by level."""

import keras
import numpy as np
from keras import layers

from sr_keras import pretrained
from sr_keras.models.arguments import check_counts, check_scale


@keras.saving.register_keras_serializable(package="sr_keras")
class Bilinear(keras.initializers.Initializer):
    """Starts a 4x4 transposed convolution of stride 2 as bilinear upsampling.

    Every channel begins as a map of itself alone.
    """

    def __call__(self, shape, dtype=None):
        if tuple(shape[:2]) != (4, 4) or shape[2] != shape[3]:
            raise ValueError(
                "The kernel must be 4x4, with as many input as output channels."
                f" Received: shape={shape}"
            )
        line = np.array([0.25, 0.75, 0.75, 0.25])
        kernel = np.einsum("y,x,cd->yxcd", line, line, np.eye(shape[2]))
        return keras.ops.convert_to_tensor(kernel, dtype=dtype)


def lapsrn(
    scale,
    filters=64,
    num_convs=None,
    all_levels=False,
    channels=1,
    weights=None,
    name="lapsrn",
):
    """Builds LapSRN: a Laplacian pyramid super-resolution network.

    Each level doubles the image by a bilinear interpolation that is learned
    further, and adds a residual that it predicts from features. Levels share no
    weights: the network has 813 thousand for x4, not counting the biases. That
    is the paper's number, and the released network's, whose transposed
    convolutions of features are 3x3; the text says 4x4. Unlike the released
    one, the first convolution starts from He's initializer as all others do.

    The `all_levels` form has the same weights; train it with one loss for each
    output, then load its file without.

    Args:
        scale: Upscaling factor: 2, 4 or 8.
        filters: Channels of every feature map.
        num_convs: Number of convolutions on each level; None for the paper's:
            10, and 5 for x8.
        all_levels: Whether the output is a dictionary of the images of all
            levels, such as `{"x2": ..., "x4": ...}`.
        channels: 1 for luma, as in the paper; 3 for RGB.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped; with `all_levels` one such map for each factor.

    Raises:
        ValueError: If `scale` is not 2, 4 or 8, or another number is
            out of range.

    Reference:
        [Lai et al., 2017](https://arxiv.org/abs/1704.03915)
    """
    scale = check_scale(scale, (2, 4, 8))
    if num_convs is None:
        num_convs = 5 if scale == 8 else 10
    check_counts(filters=filters, num_convs=num_convs, channels=channels)

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
    model = keras.Model(inputs, outputs if all_levels else image, name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "num_convs": num_convs,
        "channels": channels,
    }
    return pretrained.load(model, weights, "lapsrn", config)
