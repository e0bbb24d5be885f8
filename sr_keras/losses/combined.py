"""Losses by name, of functions, and weighted sums."""

import keras
import numpy as np
from keras import ops

from sr_keras.checks import check_name
from sr_keras.losses.base import ImageLoss, mean_per_image, one_per_image, to_float32
from sr_keras.losses.patterns import Frequency, Grid
from sr_keras.losses.perceptual import LPIPS, Content, Perceptual, Texture
from sr_keras.losses.pixels import L1, L2, Charbonnier, Huber, TotalVariation
from sr_keras.losses.similarity import HFENN, MSSSIM, PSNR, SSIM


@keras.saving.register_keras_serializable(package="sr_keras")
class FunctionLoss(ImageLoss):
    """Turns a function into a loss that checks images and sample weights.

    Args:
        function: Takes `(y_true, y_pred)` and returns a loss for each image, for each
            pixel, or a scalar. To save a model that uses it, register it with
            `keras.saving.register_keras_serializable`.
        name: Loss name; None for the name of the function, or of its class if it has
            none.
    """

    def __init__(self, function, name=None, **kwargs):
        if name is None:
            name = getattr(function, "__name__", type(function).__name__)
        super().__init__(name=name, **kwargs)
        self.function = function

    def call(self, y_true, y_pred):
        # Keras would multiply the last axis of other shapes by the sample weights.
        return mean_per_image(ops.convert_to_tensor(self.function(y_true, y_pred)))

    def get_config(self):
        function = keras.saving.serialize_keras_object(self.function)
        return {**super().get_config(), "function": function}

    @classmethod
    def from_config(cls, config):
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(**{**config, "function": function})


@keras.saving.register_keras_serializable(package="sr_keras")
class WeightedSum(ImageLoss):
    """Adds several losses, each multiplied by its weight, into one for `compile`.

    If `compile` gets a list of losses for a single output, Keras silently uses only
    the first.

        loss = WeightedSum([(1.0, "l1"), (0.1, "ssim")])
        model.compile("adam", loss=loss, metrics=loss.metrics())

    Args:
        losses: List of `(weight, loss)`, where the loss is anything that `get` takes.
            Only the sum can have a `reduction`, not its terms.
        name: Loss name.

    Raises:
        ValueError: If `losses` is not such a list, two losses have the same name, or
            one has a `reduction` of its own.
    """

    def __init__(self, losses, name="weighted_sum", **kwargs):
        super().__init__(name=name, **kwargs)
        self.losses = [_weighted(pair) for pair in losses]
        for _, loss in self.losses:
            if loss.reduction != "sum_over_batch_size":
                raise ValueError(
                    "Only the sum can have a `reduction`. Received:"
                    f" reduction={loss.reduction!r} for the loss {loss.name!r}"
                )
        names = [loss.name for _, loss in self.losses]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`losses` must be one or more pairs (weight, loss) whose losses have"
                f" different names. Received the names: {names}"
            )

    def call(self, y_true, y_pred):
        return sum(
            weight * mean_per_image(loss.call(y_true, y_pred))
            for weight, loss in self.losses
        )

    def metrics(self):
        """Returns one new metric per term, for `compile(metrics=...)`.

        Each metric reports its loss without the weight, under the name of the loss. The
        loss is computed a second time for it.
        """
        return [LossTerm(loss) for _, loss in self.losses]

    def get_config(self):
        losses = [
            [weight, keras.losses.serialize(loss)] for weight, loss in self.losses
        ]
        return {**super().get_config(), "losses": losses}

    @classmethod
    def from_config(cls, config):
        losses = [
            (weight, keras.losses.deserialize(loss))
            for weight, loss in config["losses"]
        ]
        return cls(**{**config, "losses": losses})


def _weighted(pair):
    """Returns `(weight, keras.losses.Loss)` for a pair of a weight and plain data."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise ValueError(
            f"`losses` must be a list of pairs (weight, loss). Received: {pair!r}"
        )
    weight, loss = pair
    if isinstance(weight, (str, bool)) or not np.isscalar(weight):
        raise ValueError(
            f"The weight of a loss must be a number. Received: weight={weight!r}"
        )
    return float(weight), get(loss)


@keras.saving.register_keras_serializable(package="sr_keras")
class LossTerm(keras.metrics.Mean):
    """Reports the mean of a loss over images, see `WeightedSum.metrics`.

    Args:
        loss: A `keras.losses.Loss`.
        name: Metric name; None for the name of the loss.
        dtype: Metric dtype.
    """

    def __init__(self, loss, name=None, dtype=None):
        super().__init__(name=name or loss.name, dtype=dtype)
        self.loss = loss

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = to_float32(y_true, y_pred)
        values = mean_per_image(self.loss.call(y_true, y_pred))
        super().update_state(values, one_per_image(sample_weight, values))

    def get_config(self):
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})


# The losses that `get` knows, by name.
NAMES = {
    "l1": L1,
    "l2": L2,
    "huber": Huber,
    "charbonnier": Charbonnier,
    "ssim": SSIM,
    "ms_ssim": MSSSIM,
    "psnr": PSNR,
    "hfenn": HFENN,
    "tv": TotalVariation,
    "frequency": Frequency,
    "grid": Grid,
    "perceptual": Perceptual,
    "content": Content,
    "texture": Texture,
    "lpips": LPIPS,
}


def get(loss):
    """Returns a loss that is given by its name, as plain data, or as an object.

        get("l1")
        get(("huber", {"delta": 0.02}))
        get([(1.0, "l1"), (0.05, "frequency")])

    Args:
        loss: One of the following. Tuples may also be lists, as in JSON.

            - A name of `NAMES`.
            - A pair of a name and a dict of arguments.
            - A list of pairs `(weight, loss)`, for a `WeightedSum`. Each loss may be
              anything in this list.
            - A function of `(y_true, y_pred)`, for a `FunctionLoss`.
            - A `keras.losses.Loss`, which is returned unchanged.

    Returns:
        A `keras.losses.Loss`.

    Raises:
        ValueError: If `loss` is none of these. If the name is unknown, the message
            suggests the nearest ones.
    """
    if isinstance(loss, keras.losses.Loss):
        return loss
    if callable(loss):
        return FunctionLoss(loss)
    if isinstance(loss, str):
        check_name("a loss", loss, NAMES)
        return NAMES[loss]()
    if isinstance(loss, (list, tuple)) and loss:
        if len(loss) == 2 and isinstance(loss[0], str) and isinstance(loss[1], dict):
            name, arguments = loss
            check_name("a loss", name, NAMES)
            try:
                return NAMES[name](**arguments)
            except TypeError as error:
                raise ValueError(
                    f"Invalid arguments for the loss {name!r}: {error}. Received:"
                    f" {arguments}"
                ) from error
        return WeightedSum(loss)
    raise ValueError(
        "A loss must be a name, a pair (name, arguments), a list of pairs (weight,"
        f" loss), a `keras.losses.Loss` or a function. Received: {loss!r}"
    )
