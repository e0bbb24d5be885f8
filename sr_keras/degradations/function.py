"""A degradation made of any Python function."""

import dataclasses
import inspect
from collections.abc import Callable

import keras
import numpy as np

from sr_keras.checks import check_scale
from sr_keras.degradations.base import Degradation, register


@register
@dataclasses.dataclass(frozen=True, repr=False)
class Function(Degradation):
    """A degradation made of any Python function.

    The function receives one image as it is in the dataset: a NumPy array `(height,
    width, channels)` with 1 or 3 channels, uint8 or uint16 (or float in [0, 1] if the
    degradation is called with floats). It returns the LR image, an array of the same
    dtype and `scale` times smaller. If it has a parameter named `seed`, it is random:
    it receives an integer as `seed` and must take all its randomness from there.

    A deterministic function is called once for each photo. A random one is called for
    each patch of each batch, in threads, so it limits the speed of training: 16 patches
    at 5 ms take 80 ms a batch on one core, and pure Python does not run in parallel.

    Args:
        function: The function.
        scale: Factor by which it shrinks images.
        margin: Largest distance in HR pixels from which a pixel influences the result;
            used by random functions only. None stands for `4 * scale`.
        is_equivariant: See `Degradation`. If False, even a deterministic function is
            called for each patch when patches are flipped and rotated.

    Raises:
        ValueError: When it is called, if the result has another shape or dtype.
    """

    function: Callable
    scale: int = 1
    margin: int | None = None
    is_equivariant: bool = True

    def __post_init__(self):
        object.__setattr__(self, "scale", check_scale(self.scale))
        if self.margin is None:
            object.__setattr__(self, "margin", 4 * self.scale)

    @property
    def is_random(self):
        try:
            return "seed" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # some builtins have no signature
            return False

    def __repr__(self):
        function = getattr(self.function, "__qualname__", repr(self.function))
        module = getattr(self.function, "__module__", None)
        return f"Function({module}.{function}, scale={self.scale})"

    def get_config(self):
        name = keras.saving.get_registered_name(self.function)
        if keras.saving.get_registered_object(name) is None:
            raise ValueError(
                f"{self.function} cannot be stored by name: decorate it with"
                " `keras.saving.register_keras_serializable()`."
            )
        return {**super().get_config(), "function": name}

    @classmethod
    def from_config(cls, config):
        function = keras.saving.get_registered_object(config["function"])
        if function is None:
            raise ValueError(
                f"{config['function']!r} is not a registered function: import the"
                " module that registers it first."
            )
        return cls(**{**config, "function": function})

    def _degrade(self, image, rng):
        options = {"seed": int(rng.integers(2**31))} if self.is_random else {}
        result = np.asarray(self.function(image, **options))
        height, width = (side // self.scale for side in image.shape[:2])
        expected = (height, width, image.shape[2])
        if result.shape == expected[:2] and expected[2] == 1:
            result = result[..., None]
        if result.shape != expected or result.dtype != image.dtype:
            raise ValueError(
                f"{self.function} must return an array of the shape {expected} and the"
                f" dtype {image.dtype}. Received: shape={result.shape},"
                f" dtype={result.dtype}"
            )
        return result
