"""Layers that several papers share."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="sr_keras")
class PixelShuffle(keras.layers.Layer):
    """Rearranges depth into space: the sub-pixel layer.

    Every `scale**2` channels become one tile of `scale x scale` pixels.

    Args:
        scale: Side of the tile.

    Input shape:
        `(batch, height, width, channels * scale**2)`

    Output shape:
        `(batch, height * scale, width * scale, channels)`

    Raises:
        ValueError: If the channels are no multiple of `scale**2`.

    Reference:
        [Shi et al., 2016](https://arxiv.org/abs/1609.05158)
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape):
        if input_shape[-1] % self.scale**2:
            raise ValueError(
                f"The channels must be a multiple of scale**2 = {self.scale**2}."
                f" Received: input_shape={input_shape}"
            )
        super().build(input_shape)

    def call(self, inputs):
        return inputs if self.scale == 1 else ops.depth_to_space(inputs, self.scale)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height = None if height is None else height * self.scale
        width = None if width is None else width * self.scale
        return (batch, height, width, channels // self.scale**2)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="sr_keras")
class ICNR(keras.initializers.Initializer):
    """Starts a convolution before `PixelShuffle` free of checkerboards.

    All filters that end in one tile start equal, so that before training the
    pair enlarges like nearest-neighbour interpolation.

    Args:
        scale: The factor of the `PixelShuffle` that follows.
        initializer: Draws the filters that are then repeated.

    Reference:
        [Aitken et al., 2017](https://arxiv.org/abs/1707.02937)
    """

    def __init__(self, scale, initializer="glorot_uniform"):
        self.scale = scale
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape, dtype=None):
        *rest, channels = shape
        if channels % self.scale**2:
            raise ValueError(
                f"The filters must be a multiple of scale**2 = {self.scale**2}."
                f" Received: {channels}"
            )
        kernel = self.initializer((*rest, channels // self.scale**2), dtype=dtype)
        return ops.tile(kernel, (1,) * len(rest) + (self.scale**2,))

    def get_config(self):
        return {
            "scale": self.scale,
            "initializer": keras.initializers.serialize(self.initializer),
        }


class _Upsampling(keras.layers.Layer):
    """Enlarges by interpolation with the kernel that a subclass defines.

    Each of the `scale**2` positions that an output pixel can have relative to
    its input pixel has one fixed 5x5 kernel; a pixel shuffle then puts the
    results in place. This is for images: the work grows with the square of the number
    of channels. The border is continued with its own pixels. Keras's
    `UpSampling2D` fails in graphs of unknown height and width.

    The layer computes in float32 under every precision policy.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.scale = scale

    def build(self, input_shape):
        # kernel[y, x, channel, (phase_y, phase_x, channel)]
        channels = input_shape[-1]
        phase = (np.arange(self.scale) + 0.5) / self.scale - 0.5
        line = self._weights(np.arange(-2, 3)[:, None] - phase[None, :])
        planes = np.einsum("yp,xq->yxpq", line, line)
        kernel = np.einsum("yxpq,cd->yxcpqd", planes, np.eye(channels))
        self.kernel = kernel.reshape(5, 5, channels, -1).astype("float32")
        super().build(input_shape)

    def call(self, inputs):
        if self.scale == 1:
            return inputs
        x = inputs
        for axis in (1, 2):
            before = (slice(None),) * axis
            first, last = before + (slice(1),), before + (slice(-1, None),)
            x = ops.concatenate([x[first]] * 2 + [x] + [x[last]] * 2, axis=axis)
        x = ops.conv(x, self.kernel, padding="valid", data_format="channels_last")
        return ops.depth_to_space(x, self.scale, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height = None if height is None else height * self.scale
        width = None if width is None else width * self.scale
        return (batch, height, width, channels)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="sr_keras")
class BicubicUpsampling(_Upsampling):
    """Enlarges by bicubic interpolation (a = -0.5), as MATLAB's `imresize`.

    Values are not clipped: bicubic overshoots at edges. The layer computes in
    float32 under every precision policy.

    Args:
        scale: Upscaling factor, a whole number.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height * scale, width * scale, channels)`, float32.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """

    def _weights(self, distance):
        return cubic(distance)


@keras.saving.register_keras_serializable(package="sr_keras")
class BilinearUpsampling(_Upsampling):
    """Enlarges by bilinear interpolation; shapes as `BicubicUpsampling`."""

    def _weights(self, distance):
        return np.maximum(1 - np.abs(distance), 0)


@keras.saving.register_keras_serializable(package="sr_keras")
class NearestUpsampling(_Upsampling):
    """Enlarges by repeating pixels; shapes as `BicubicUpsampling`."""

    def _weights(self, distance):
        return (np.abs(distance) < 0.5).astype(float)


@keras.saving.register_keras_serializable(package="sr_keras")
class PadToMultiple(keras.layers.Layer):
    """Continues the lower and right border to the next multiple of a size.

    The padding repeats the border's own pixels. `CropLike` takes it off again.

    Args:
        multiple: What height and width become a multiple of.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height, width, channels)`, height and width rounded up.
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, inputs):
        x = inputs
        for axis in (1, 2):
            size = ops.shape(x)[axis]
            rows = ops.minimum(ops.arange(self._round_up(size)), size - 1)
            x = ops.take(x, rows, axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height = None if height is None else self._round_up(height)
        width = None if width is None else self._round_up(width)
        return (batch, height, width, channels)

    def _round_up(self, size):
        # written so that it survives the export to ONNX
        return (size + self.multiple - 1) // self.multiple * self.multiple

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="sr_keras")
class CropLike(keras.layers.Layer):
    """Cuts the lower and right border of one map to the size of another.

    Call arguments:
        inputs: A list of two maps: the one to cut, and the one with the size.

    Output shape:
        `(batch, height of the second, width of the second, channels of the
        first)`
    """

    def call(self, inputs):
        x, like = inputs
        _, height, width, _ = ops.shape(like)
        return x[:, :height, :width]

    def compute_output_shape(self, input_shape):
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return (batch, height, width, channels)


def cubic(x, a=-0.5):
    """Computes the cubic convolution kernel of Keys (1981) at distances `x`."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
