"""Layers that several papers share."""

import keras
import numpy as np
from keras import ops

from sr_keras.checks import check_counts, check_option, check_scale

# Channel orders of `PixelShuffle`.
ORDERS = ("tensorflow", "torch")


@keras.saving.register_keras_serializable(package="sr_keras")
class PixelShuffle(keras.layers.Layer):
    """Rearranges depth into space: the sub-pixel layer.

    The `scale**2 * channels` values of an input pixel become a tile of
    `scale x scale` output pixels. TensorFlow and PyTorch disagree on which of them
    becomes channel `c` at `(row, column)` of the tile:

    - "tensorflow": `(row * scale + column) * channels + c`. The channels of an output
      pixel are neighbours, as in `tf.nn.depth_to_space`.
    - "torch": `c * scale**2 + row * scale + column`. The tile of an output channel is
      contiguous, as in `torch.nn.PixelShuffle` and in the paper.

    The two are the same for a single output channel.

    Args:
        scale: Side of the tile, a positive integer.
        order: Order of the input channels, "tensorflow" or "torch".

    Input shape:
        `(batch, height, width, scale**2 * channels)`

    Output shape:
        `(batch, scale * height, scale * width, channels)`

    Raises:
        ValueError: If the number of input channels is not a multiple of `scale**2`, or
            an argument is not valid.

    Reference:
        [Shi et al., 2016](https://arxiv.org/abs/1609.05158)
    """

    def __init__(self, scale, order="tensorflow", **kwargs):
        super().__init__(**kwargs)
        check_option("order", order, ORDERS)
        self.scale = check_scale(scale)
        self.order = order

    def build(self, input_shape):
        if input_shape[-1] % self.scale**2:
            raise ValueError(
                "The number of input channels must be a multiple of scale**2 ="
                f" {self.scale**2}. Received: input_shape={input_shape}"
            )
        super().build(input_shape)

    def call(self, inputs):
        if self.scale == 1:
            return inputs
        x = inputs
        if self.order == "torch" and x.shape[-1] > self.scale**2:
            indices = np.arange(x.shape[-1]).reshape(-1, self.scale**2)
            x = ops.take(x, indices.T.ravel(), axis=-1)
        return ops.depth_to_space(x, self.scale, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        *shape, channels = _enlarge(input_shape, self.scale)
        return (*shape, channels // self.scale**2)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "order": self.order}


@keras.saving.register_keras_serializable(package="sr_keras")
class PixelUnshuffle(keras.layers.Layer):
    """Rearranges space into depth: the inverse of `PixelShuffle`.

    The value of channel `c` at `(row, column)` of a tile of `scale x scale` pixels
    becomes channel `(row * scale + column) * channels + c`.

    Args:
        scale: Side of the tile, a positive integer.

    Input shape:
        `(batch, height, width, channels)`, height and width multiples of `scale`.

    Output shape:
        `(batch, height / scale, width / scale, scale**2 * channels)`

    Raises:
        ValueError: If `scale` is not a positive integer.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = check_scale(scale)

    def call(self, inputs):
        if self.scale == 1:
            return inputs
        return ops.space_to_depth(inputs, self.scale, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = [None if side is None else side // self.scale for side in sides]
        return (batch, *sides, channels * self.scale**2)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="sr_keras")
class ICNR(keras.initializers.Initializer):
    """Initializes a convolution before `PixelShuffle` without checkerboard artifacts.

    All filters that end in the same tile start equal. Before training, the
    convolution and the pixel shuffle together therefore upscale by nearest-neighbour
    interpolation.

    Args:
        scale: Scale of the `PixelShuffle` that follows.
        initializer: Initializer of the filters that are then repeated.
        order: Order of the `PixelShuffle` that follows, "tensorflow" or "torch".

    Raises:
        ValueError: If the number of filters is not a multiple of `scale**2`, or an
            argument is not valid.

    Reference:
        [Aitken et al., 2017](https://arxiv.org/abs/1707.02937)
    """

    def __init__(self, scale, initializer="glorot_uniform", order="tensorflow"):
        check_option("order", order, ORDERS)
        self.scale = check_scale(scale)
        self.initializer = keras.initializers.get(initializer)
        self.order = order

    def __call__(self, shape, dtype=None):
        *rest, filters = shape
        if filters % self.scale**2:
            raise ValueError(
                "The number of filters must be a multiple of scale**2 ="
                f" {self.scale**2}. Received: shape={tuple(shape)}"
            )
        kernel = self.initializer((*rest, filters // self.scale**2), dtype=dtype)
        if self.order == "torch":
            return ops.repeat(kernel, self.scale**2, axis=-1)
        return ops.tile(kernel, (1,) * len(rest) + (self.scale**2,))

    def get_config(self):
        return {
            "scale": self.scale,
            "initializer": keras.initializers.serialize(self.initializer),
            "order": self.order,
        }


class _Interpolation(keras.layers.Layer):
    """Upscales by interpolation with the kernel that a subclass defines.

    Each of the `scale**2` positions that an output pixel can have relative to its
    input pixel has one fixed 5x5 kernel; a pixel shuffle then puts the results in
    place. The layer is meant for images: the work grows with the square of the number
    of channels. Pixels outside the image are those nearest to them at its border.

    The layer computes in float32 under every precision policy.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.scale = check_scale(scale)

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
        return _enlarge(input_shape, self.scale)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="sr_keras")
class BicubicUpsampling(_Interpolation):
    """Upscales by bicubic interpolation (a = -0.5), like MATLAB's `imresize`.

    Values are not clipped: bicubic interpolation overshoots at edges. The layer
    computes in float32 under every precision policy.

    Args:
        scale: Upscaling factor, a positive integer.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32.

    Raises:
        ValueError: If `scale` is not a positive integer.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """

    def _weights(self, distance):
        return cubic(distance)


@keras.saving.register_keras_serializable(package="sr_keras")
class BilinearUpsampling(_Interpolation):
    """Upscales by bilinear interpolation; arguments and shapes as `BicubicUpsampling`.

    The layer computes in float32 under every precision policy.
    """

    def _weights(self, distance):
        return np.maximum(1 - np.abs(distance), 0)


@keras.saving.register_keras_serializable(package="sr_keras")
class NearestUpsampling(keras.layers.Layer):
    """Upscales by repeating pixels; arguments and shapes as `BicubicUpsampling`.

    It is as fast for feature maps as for images, and keeps the dtype of the precision
    policy. Unlike with `keras.layers.UpSampling2D`, a convolution after it can be
    exported to LiteRT for inputs of any size.
    """

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = check_scale(scale)

    def call(self, inputs):
        if self.scale == 1:
            return inputs
        x = ops.concatenate([inputs] * self.scale**2, axis=-1)
        return ops.depth_to_space(x, self.scale, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return _enlarge(input_shape, self.scale)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def _enlarge(shape, scale):
    """Returns `(batch, scale * height, scale * width, channels)`."""
    batch, height, width, channels = shape
    height = None if height is None else scale * height
    width = None if width is None else scale * width
    return (batch, height, width, channels)


@keras.saving.register_keras_serializable(package="sr_keras")
class PadToMultiple(keras.layers.Layer):
    """Pads the bottom and right so that height and width are multiples of a number.

    The padding repeats the last row and column, or reflects the rows and columns
    before them. `CropLike` removes it again.

    Args:
        multiple: The number, a positive integer.
        minimum: Smallest height and width of the output, a multiple of `multiple`, or
            None.
        mode: "edge" repeats the last row and column; "reflect" continues with the
            rows and columns before the last, as often as needed.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height, width, channels)`, height and width rounded up.

    Raises:
        ValueError: If `multiple` is not a positive integer, or `minimum` is not a
            multiple of it, or there is no such mode.
    """

    def __init__(self, multiple, minimum=None, mode="edge", **kwargs):
        super().__init__(**kwargs)
        check_counts(multiple=multiple)
        check_option("mode", mode, ("edge", "reflect"))
        if minimum is not None:
            check_counts(minimum=minimum)
            if minimum % multiple:
                raise ValueError(
                    "`minimum` must be a multiple of `multiple`. Received:"
                    f" minimum={minimum}, multiple={multiple}"
                )
        self.multiple = multiple
        self.minimum = minimum
        self.mode = mode

    def call(self, inputs):
        x = inputs
        for axis in (1, 2):
            size = ops.shape(x)[axis]
            padded = self._round_up(size)
            if self.minimum is not None:
                padded = ops.maximum(padded, self.minimum)
            rows = ops.arange(padded)
            if self.mode == "edge":
                rows = ops.minimum(rows, size - 1)
            else:  # there and back again, without repeating the ends
                period = ops.maximum(2 * (size - 1), 1)
                rows = rows - rows // period * period
                rows = ops.minimum(rows, period - rows)
            x = ops.take(x, rows, axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = [
            None if side is None else max(self._round_up(side), self.minimum or 0)
            for side in sides
        ]
        return (batch, *sides, channels)

    def _round_up(self, size):
        # written so that it survives the export to ONNX
        return (size + self.multiple - 1) // self.multiple * self.multiple

    def get_config(self):
        return {
            **super().get_config(),
            "multiple": self.multiple,
            "minimum": self.minimum,
            "mode": self.mode,
        }


@keras.saving.register_keras_serializable(package="sr_keras")
class CropLike(keras.layers.Layer):
    """Crops the bottom and right of a tensor to the height and width of another.

    Call arguments:
        inputs: A list of two tensors: the one to crop, and the one that has the size.

    Output shape:
        `(batch, height, width, channels)`, with height and width of the second tensor
        and the channels of the first.
    """

    def call(self, inputs):
        x, like = inputs
        _, height, width, _ = ops.shape(like)
        return x[:, :height, :width]

    def compute_output_shape(self, input_shape):
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return (batch, height, width, channels)


def cubic(x, a=-0.5):
    """Computes the cubic convolution kernel of Keys (1981).

    Args:
        x: Array of distances in pixels.
        a: Slope of the kernel at a distance of 1.

    Returns:
        An array of weights, of the shape of `x`.
    """
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def relative_positions(window):
    """Returns which row of the table of biases belongs to each pair of pixels.

    Args:
        window: Side of the windows in pixels.

    Returns:
        An integer array `(window**2, window**2)` with values below
        `(2 * window - 1)**2`: the vertical distance of the first pixel from the second
        and the horizontal one, each from `-(window - 1)` to `window - 1`.
    """
    rows, columns = np.divmod(np.arange(window**2), window)
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right
