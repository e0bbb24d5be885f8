"""What all losses share: checks, means, one value per image."""

import keras
import numpy as np
from keras import ops


def to_float32(y_true, y_pred, rank=None):
    """Checks a pair of image batches and returns it as float32 tensors.

    Args:
        y_true: Float array or tensor.
        y_pred: Float array or tensor of the same shape.
        rank: Number of axes that both must have; None for any number.

    Raises:
        ValueError: If one does not have a float dtype, or if the shapes differ.
            Sizes that are unknown while a graph is built are not compared.
    """
    tensors = []
    for name, images in (("y_true", y_true), ("y_pred", y_pred)):
        images = ops.convert_to_tensor(images)
        if not keras.backend.is_float_dtype(images.dtype):
            dtype = keras.backend.standardize_dtype(images.dtype)
            raise ValueError(
                f"`{name}` must hold floats in [0, 1]. Convert integer images with"
                f" `sr_keras.images.to_float`. Received: dtype={dtype}"
            )
        tensors.append(ops.cast(images, "float32"))

    true_shape, pred_shape = (tuple(images.shape) for images in tensors)
    same = len(true_shape) == len(pred_shape) and all(
        a is None or b is None or a == b
        for a, b in zip(true_shape, pred_shape, strict=True)
    )
    if not same:
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape."
            f" Received: shapes {true_shape} and {pred_shape}"
        )
    if rank is not None and len(true_shape) != rank:
        raise ValueError(
            "Images must have the shape (batch, height, width, channels)."
            f" Received: shape={true_shape}"
        )
    return tensors


def mean(values, axes):
    """Averages over one axis after another.

    A single float32 sum of a million pixels can be wrong in the third digit, because
    each small term is rounded when it is added to the large sum.
    """
    for axis in axes:
        values = ops.mean(values, axis=axis)
    return values


def mean_per_image(values):
    return mean(values, range(len(values.shape) - 1, 0, -1))


def check_size(images, smallest, name):
    height, width = images.shape[1:3]
    if any(side is not None and side < smallest for side in (height, width)):
        raise ValueError(
            f"{name} needs images of at least {smallest}x{smallest} pixels, after"
            f" borders are cut. Received: {height}x{width}"
        )


def one_per_image(sample_weight, images):
    """Returns sample weights, after a check that each image has one."""
    if sample_weight is None:
        return None
    shape = (
        sample_weight.shape
        if hasattr(sample_weight, "shape")
        else np.shape(sample_weight)
    )
    if getattr(shape, "rank", 1) is None:  # in a graph that TensorFlow generalized
        return ops.reshape(sample_weight, ops.shape(images)[:1])  # or fails there
    if len(shape) > 1:
        raise ValueError(
            "`sample_weight` must have the shape (batch,): one weight per image."
            f" Received: shape={tuple(shape)}"
        )
    return sample_weight


class ImageLoss(keras.losses.Loss):
    """A loss that checks its arguments before Keras casts and broadcasts them."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        images, _ = to_float32(y_true, y_pred)
        weights = one_per_image(sample_weight, images)
        return super().__call__(y_true, y_pred, weights)
