"""An RGB model from a network for luma."""

import keras

from sr_keras.images import rgb_to_ycbcr, ycbcr_to_rgb
from sr_keras.layers import BicubicUpsampling
from sr_keras.models.network import Network, scale_of


@keras.saving.register_keras_serializable(package="sr_keras")
class RGBToYCbCr(keras.layers.Layer):
    """Converts RGB in [0, 1] to Y and CbCr, `(..., 1)` and `(..., 2)`."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        ycbcr = rgb_to_ycbcr(inputs)
        return ycbcr[..., :1], ycbcr[..., 1:]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1), (*input_shape[:-1], 2)


@keras.saving.register_keras_serializable(package="sr_keras")
class YCbCrToRGB(keras.layers.Layer):
    """Converts Y and CbCr back to RGB in [0, 1], not clipped."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        return ycbcr_to_rgb(keras.ops.concatenate(inputs, axis=-1))

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], 3)


def on_luma(core, name=None):
    """Makes an RGB model from a one-channel network.

    People see detail mostly in luma. The papers from SRCNN to LapSRN therefore upscale
    luma with the network, and Cb and Cr by bicubic interpolation.

    Args:
        core: A `keras.Model` with one input and one output channel that knows its
            scale, see `scale_of`.
        name: Model name. None for the name of `core`.

    Returns:
        A `Network` that shares the weights of `core`.

    Input shape:
        `(batch, height, width, 3)`, in [0, 1].

    Output shape:
        `(batch, scale * height, scale * width, 3)`, float32, not clipped.

    Raises:
        ValueError: If `core` does not have one channel, or its scale is unknown.
    """
    if core.input_shape[-1] != 1 or core.output_shape[-1] != 1:
        raise ValueError(
            "`core` must have one input and one output channel. Received:"
            f" input {core.input_shape}, output {core.output_shape}"
        )
    inputs = keras.Input((None, None, 3), name="lr")
    y, cbcr = RGBToYCbCr(name="to_ycbcr")(inputs)
    scale = scale_of(core)
    cbcr = BicubicUpsampling(scale, name="chroma")(cbcr)
    outputs = YCbCrToRGB(name="to_rgb")([core(y), cbcr])
    return Network(inputs, outputs, scale=scale, name=name or core.name)
