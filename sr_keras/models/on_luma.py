"""An RGB model of a network that works on luma alone."""

import keras

from sr_keras.images import rgb_to_ycbcr, ycbcr_to_rgb
from sr_keras.layers import BicubicUpsampling


@keras.saving.register_keras_serializable(package="sr_keras")
class RGBToYCbCr(keras.layers.Layer):
    """Converts RGB in [0, 1] to Y and CbCr, `(..., 1)` and `(..., 2)`."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        ycbcr = rgb_to_ycbcr(inputs)
        return ycbcr[..., :1], ycbcr[..., 1:]


@keras.saving.register_keras_serializable(package="sr_keras")
class YCbCrToRGB(keras.layers.Layer):
    """Converts Y and CbCr back to RGB in [0, 1], not clipped."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        return ycbcr_to_rgb(keras.ops.concatenate(inputs, axis=-1))


def on_luma(core, name=None):
    """Makes an RGB model of a one-channel network.

    People see detail in luma, so the papers of SRCNN to LapSRN upscale luma by
    the network, and Cb and Cr by bicubic interpolation.

    Args:
        core: A `keras.Model` with one input and one output channel, whose
            output is a whole number of times larger than its input.
        name: Model name; None for that of `core`.

    Returns:
        A `keras.Model` that shares the weights of `core`.

    Input shape:
        `(batch, height, width, 3)`, in [0, 1].

    Output shape:
        `(batch, scale * height, scale * width, 3)`, float32, not clipped.

    Raises:
        ValueError: If `core` has not one channel.
    """
    if core.input_shape[-1] != 1 or core.output_shape[-1] != 1:
        raise ValueError(
            "`core` must have one input and one output channel. Received:"
            f" input {core.input_shape}, output {core.output_shape}"
        )
    inputs = keras.Input((None, None, 3), name="lr")
    y, cbcr = RGBToYCbCr(name="to_ycbcr")(inputs)
    cbcr = BicubicUpsampling(scale_of(core), name="chroma")(cbcr)
    outputs = YCbCrToRGB(name="to_rgb")([core(y), cbcr])
    return keras.Model(inputs, outputs, name=name or core.name)


def scale_of(model):
    """Returns the upscaling factor of a model, from its output's shape.

    Args:
        model: A `keras.Model` whose input may have any height and width.

    Raises:
        ValueError: If the output is not a whole number of times larger.
    """
    channels = model.input_shape[-1]
    _, height, width, _ = model.compute_output_shape((1, 96, 96, channels))
    if height is None:
        height, width = model(keras.ops.zeros((1, 96, 96, channels))).shape[1:3]
    if height != width or height % 96:
        raise ValueError(
            f"The output of '{model.name}' for 96x96 pixels must be a whole number"
            f" of times larger. Received: {height}x{width}"
        )
    return height // 96
