"""Losses of frequencies, and of what repeats."""

import keras
from keras import ops

from sr_keras.checks import check_counts
from sr_keras.losses.base import ImageLoss, mean_per_image, to_float32


def frequency(y_true, y_pred):
    """Computes the mean absolute error of the Fourier transform of each image.

    The two-dimensional discrete Fourier transform of each channel is compared with L1,
    for the real and the imaginary part separately. Every frequency counts equally, so
    fine texture, which has small amplitudes in an image, weighs more than in a loss on
    pixels. The loss is meant to be added to one: recent small networks train on
    `[(1.0, "l1"), (0.05, "frequency")]`.

    As in the paper, the transform is not normalized: for noise of a given strength the
    loss is proportional to the square root of the number of pixels. Divide the weight
    by two if you double both sides of the patches.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], any size.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ or the values are integers.

    Reference:
        [Cho et al., 2021](https://arxiv.org/abs/2108.05054)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    # The transform is linear, so one of the difference is enough.
    error = ops.transpose(y_pred - y_true, (0, 3, 1, 2))
    real, imaginary = ops.fft2((error, ops.zeros_like(error)))
    return (mean_per_image(ops.abs(real)) + mean_per_image(ops.abs(imaginary))) / 2


@keras.saving.register_keras_serializable(package="sr_keras")
class Frequency(ImageLoss):
    """Computes the mean absolute error of the Fourier transform, see `frequency`."""

    def __init__(self, name="frequency", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return frequency(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class Grid(ImageLoss):
    """Computes how strongly the error repeats with a period, as a grid does.

    The images are cut into windows of `window * period` pixels. In each window and
    channel, the mean of `y_pred - y_true` is taken over all pixels at the same
    position in the cells of `period x period` pixels. The loss is the mean square of
    these `period**2` means, less the mean of the window.

    Networks that upscale by pixel shuffle or transposed convolution can add a fixed
    pattern of this period, and in adversarial training they do: it is the easiest way
    to add fine detail. Errors that do not repeat cancel out in the means, so that the
    loss removes the pattern and leaves other details free. Random errors of variance v
    have a loss of about `v / window**2`. See also `quality.grid_energy`.

    Args:
        period: Period of the pattern in pixels, usually the scale.
        window: Side of the windows in cells. Windows that do not fit into the image
            at the bottom and the right are ignored.
        name: Loss name.

    Raises:
        ValueError: If a number is not a positive integer, or, when it is called, if
            the images are smaller than a window.
    """

    def __init__(self, period=4, window=6, name="grid", **kwargs):
        super().__init__(name=name, **kwargs)
        check_counts(period=period, window=window)
        self.period, self.window = period, window

    def call(self, y_true, y_pred):
        y_true, y_pred = to_float32(y_true, y_pred, rank=4)
        height, width, channels = y_pred.shape[1:]
        side = self.period * self.window
        if None in (height, width):
            shape = ops.shape(y_pred)
            height, width = shape[1], shape[2]
        elif min(height, width) < side:
            raise ValueError(
                f"Images must be at least {side} pixels high and wide, which are"
                f" {self.window} cells of {self.period}. Received: {height}x{width}"
            )
        rows, columns = height // side, width // side
        error = (y_pred - y_true)[:, : rows * side, : columns * side]
        shape = (-1, rows, self.window, self.period, columns, self.window, self.period)
        means = ops.mean(ops.reshape(error, (*shape, channels)), axis=(2, 5))
        means = means - ops.mean(means, axis=(2, 4), keepdims=True)
        return mean_per_image(means**2)

    def get_config(self):
        return {**super().get_config(), "period": self.period, "window": self.window}
