"""Losses of single pixels and their neighbours."""

import keras
from keras import ops

from sr_keras.losses.base import ImageLoss, check_size, mean_per_image, to_float32


def l1(y_true, y_pred):
    """Computes the mean absolute error of each image.

    Args:
        y_true: `(batch, ...)`, float, in [0, 1].
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ or the values are integers, as for all
            losses of this module.
    """
    y_true, y_pred = to_float32(y_true, y_pred)
    return mean_per_image(keras.losses.mean_absolute_error(y_true, y_pred))


def l2(y_true, y_pred):
    """Computes the mean squared error of each image; shapes as in `l1`."""
    y_true, y_pred = to_float32(y_true, y_pred)
    return mean_per_image(keras.losses.mean_squared_error(y_true, y_pred))


def huber(y_true, y_pred, delta=0.01):
    """Computes the Huber loss of each image; shapes as in `l1`.

    An error `e` costs `e**2 / 2` up to `delta`, and `delta * (|e| - delta / 2)`
    above it. With the default of Keras, `delta=1`, the loss would be half the squared
    error on images in [0, 1], where errors are at most 1.
    """
    y_true, y_pred = to_float32(y_true, y_pred)
    return mean_per_image(keras.losses.huber(y_true, y_pred, delta))


def charbonnier(y_true, y_pred, epsilon=1e-3):
    """Computes `sqrt((y_true - y_pred)**2 + epsilon**2)`; shapes as in `l1`."""
    y_true, y_pred = to_float32(y_true, y_pred)
    return mean_per_image(ops.sqrt((y_true - y_pred) ** 2 + epsilon**2))


def total_variation(y_true, y_pred):
    """Computes how much neighbouring pixels of `y_pred` differ.

    The result is the mean of `|y_pred[i + 1, j] - y_pred[i, j]|` plus the mean of
    `|y_pred[i, j + 1] - y_pred[i, j]|`, over pixels and channels. It does not depend on
    `y_true` and is smallest for flat images: added to another loss with a small
    weight, it removes noise. The paper uses the length of the gradient; this function
    adds the two directions.

    Args:
        y_true: `(batch, height, width, channels)`, float; only its shape is used.
        y_pred: The same shape, at least 2 x 2 pixels.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Rudin et al., 1992](https://doi.org/10.1016/0167-2789(92)90242-F)
    """
    _, y_pred = to_float32(y_true, y_pred, rank=4)
    check_size(y_pred, 2, "Total variation")
    down = ops.abs(y_pred[:, 1:] - y_pred[:, :-1])
    across = ops.abs(y_pred[:, :, 1:] - y_pred[:, :, :-1])
    return mean_per_image(down) + mean_per_image(across)


@keras.saving.register_keras_serializable(package="sr_keras")
class L1(ImageLoss):
    """Computes the mean absolute error, see `l1`."""

    def __init__(self, name="l1", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return l1(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class L2(ImageLoss):
    """Computes the mean squared error, see `l2`."""

    def __init__(self, name="l2", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return l2(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class Huber(ImageLoss):
    """Computes the Huber loss, see `huber`.

    The default `delta` suits images; see `huber` for the default of Keras.
    """

    def __init__(self, delta=0.01, name="huber", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        return huber(y_true, y_pred, self.delta)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable(package="sr_keras")
class Charbonnier(ImageLoss):
    """Computes `sqrt((y_true - y_pred)**2 + epsilon**2)`, a smooth L1.

    Large errors grow linearly, not quadratically, so a few badly predicted edges do
    not dominate the loss. The default `epsilon` is that of LapSRN.

    Reference:
        [Lai et al., 2017](https://arxiv.org/abs/1704.03915)
    """

    def __init__(self, epsilon=1e-3, name="charbonnier", **kwargs):
        super().__init__(name=name, **kwargs)
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        return charbonnier(y_true, y_pred, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="sr_keras")
class TotalVariation(ImageLoss):
    """Computes the total variation of `y_pred`, see `total_variation`."""

    def __init__(self, name="tv", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return total_variation(y_true, y_pred)
