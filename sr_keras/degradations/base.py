"""What all degradations have in common."""

import numbers

import keras
import numpy as np

from sr_keras.checks import check_name

PEAKS = {"uint8": 255, "uint16": 65535}

_CLASSES = {}


def register(cls):
    """Makes a class of this package known to `deserialize`."""
    _CLASSES[cls.__name__] = cls
    return cls


class Degradation:
    """Base class: a subclass defines `apply`.

    Attributes:
        scale: Factor by which images shrink.
        margin: Largest distance in HR pixels from which a pixel influences the result.
        is_random: Whether a call needs a seed.
        is_equivariant: Whether flipping and rotating an image before the degradation
            gives the same result as doing so afterwards. Rounding and the position of
            JPEG blocks are ignored.
    """

    scale = 1
    margin = 0
    is_random = False
    is_equivariant = True

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def __call__(self, images, seed=None):
        """Degrades images.

        Args:
            images: `(height, width, channels)` or `(batch, height, width,
                channels)`: uint8, uint16 or float in [0, 1].
            seed: An integer or a pair of integers, required if the degradation is
                random. Each image of a batch has its own random strengths and noise.

        Returns:
            Images of the same dtype, `scale` times smaller.

        Raises:
            ValueError: If the rank or the dtype is not supported, or the seed is
                missing.
        """
        if self.is_random and seed is None:
            raise ValueError(f"{self} is random: pass `seed`.")
        dtype = keras.backend.standardize_dtype(images.dtype)
        if dtype not in PEAKS and "float" not in dtype:
            raise ValueError(
                f"`images` must be uint8, uint16 or float. Received: dtype={dtype}"
            )
        shape = tuple(images.shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                "`images` must have the shape ([batch,] height, width, channels)."
                f" Received: shape={shape}"
            )
        seed = 0 if seed is None else seed
        if isinstance(images, np.ndarray):
            return self._degrade_all(images, seed)
        import tensorflow as tf

        result = tf.numpy_function(
            self._degrade_all, [images, seed], images.dtype, stateful=False
        )
        result.set_shape((*shape[:-3], None, None, shape[-1]))
        return result

    def apply(self, image, rng):
        """Degrades one image; to be defined by subclasses.

        Args:
            image: `(height, width, channels)`, a float32 array in [0, 1].
            rng: A `numpy.random.Generator`, the only source of randomness.

        Returns:
            `(height // scale, width // scale, channels)`, a float array, which need
            not be clipped.
        """
        raise TypeError(f"{type(self).__name__} does not define `apply`.")

    def degrade_patch(self, window, margin, seed):
        """Degrades a patch as if it were cut from the degraded image.

        Args:
            window: The HR patch with `margin` more pixels on each side.
            margin: At least `self.margin`, and a multiple of `scale`.
            seed: An integer or several.

        Returns:
            The LR patch, without the margin.
        """
        return self._degrade_patch(window, margin, generator(seed))

    def get_config(self):
        """Returns the arguments of the constructor, as JSON can store them."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_config(cls, config):
        """Makes a degradation from the result of `get_config`."""
        return cls(**{name: _revived(value) for name, value in config.items()})

    def _degrade_all(self, images, seed):
        if images.ndim == 3:
            return self._degrade(images, generator(seed))
        seed = np.atleast_1d(seed)
        if len(images):
            results = [
                self._degrade(image, generator([*seed, *[0] * (2 - len(seed)), i]))
                for i, image in enumerate(images)
            ]
            return np.stack(results)
        height, width = (side // self.scale for side in images.shape[1:3])
        return np.empty((0, height, width, images.shape[3]), images.dtype)

    def _degrade_patch(self, window, margin, rng):
        return cut(self._degrade(window, rng), margin // self.scale)

    def _degrade(self, image, rng):
        """Degrades one image of any dtype. Subclasses override it to be faster."""
        peak = PEAKS.get(image.dtype.name, 1)
        result = self.apply(np.float32(image) / np.float32(peak), rng)
        return cast(result * np.float32(peak), image.dtype)


def serialize(degradation):
    """Returns a degradation as a dict that can be stored as JSON.

    Args:
        degradation: A `Degradation`. A class of your own, or a function in `Function`,
            must be registered with `keras.saving.register_keras_serializable`.

    Returns:
        `{"class_name": ..., "config": ...}`, for `deserialize` and `get`.
    """
    name = keras.saving.get_registered_name(type(degradation))
    return {"class_name": name, "config": degradation.get_config()}


def deserialize(config):
    """Makes a degradation from a dict such as `serialize` returns.

    Raises:
        ValueError: If the class is not known, or its arguments are wrong.
    """
    name = config.get("class_name")
    cls = _CLASSES.get(name)
    if cls is None:
        cls = keras.saving.get_registered_object(str(name))
    if cls is None:
        check_name("a degradation class", name, _CLASSES)
    try:
        return cls.from_config(config.get("config", {}))
    except TypeError as error:  # missing or unexpected arguments
        raise ValueError(f"{name} cannot be made of {config}: {error}") from error


def generator(seed):
    """Makes a random generator of one or several integers of any sign."""
    parts = seed if isinstance(seed, (list, tuple)) else np.atleast_1d(seed).tolist()
    return np.random.default_rng([int(part) % 2**64 for part in parts])


def cast(x, dtype):
    """Converts floats in 0 to the peak of `dtype`, rounding and clipping integers."""
    if dtype.kind == "f":
        return x.astype(dtype, copy=False)
    x = np.clip(x, 0, PEAKS[dtype.name])
    x += 0.5
    return x.astype(dtype)  # truncates, so that halves are rounded up


def cut(image, border):
    return image if border == 0 else image[border:-border, border:-border]


def _plain(value):
    if isinstance(value, Degradation):
        return serialize(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _revived(value):
    if isinstance(value, dict):
        return deserialize(value)
    return tuple(map(_revived, value)) if isinstance(value, (list, tuple)) else value


def draw(strength, rng):
    """Returns a number as it is, and a random number for a pair (low, high)."""
    return rng.uniform(*strength) if isinstance(strength, tuple) else strength


def highest(strength):
    return max(strength) if isinstance(strength, tuple) else strength


def choose(items, odds, rng):
    """Draws an item; `odds` are relative frequencies, or None for equal ones."""
    if odds is None:
        return items[rng.integers(len(items))]
    shares = np.cumsum(odds)
    place = np.searchsorted(shares, rng.random() * shares[-1], side="right")
    return items[min(place, len(items) - 1)]


def check_odds(name, odds, count):
    are_numbers = isinstance(odds, tuple) and all(
        isinstance(value, numbers.Real) and value >= 0 for value in odds
    )
    if not are_numbers or len(odds) != count or not sum(odds) > 0:
        raise ValueError(
            f"`{name}` must be a tuple of {count} numbers of 0 or more, not all 0."
            f" Received: {name}={odds!r}"
        )


def check_strength(name, strength, low, high):
    values = strength if isinstance(strength, tuple) else (strength, strength)
    are_numbers = all(isinstance(value, numbers.Real) for value in values)
    if not are_numbers or len(values) != 2 or values[0] > values[1]:
        raise ValueError(
            f"`{name}` must be a number or a pair (low, high)."
            f" Received: {name}={strength!r}"
        )
    if not low <= values[0] <= values[1] <= high:
        raise ValueError(
            f"`{name}` must be between {low} and {high}. Received: {name}={strength!r}"
        )


def check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_degradation(name, value):
    if not isinstance(value, Degradation):
        raise ValueError(f"`{name}` must be a Degradation. Received: {name}={value!r}")


def check_keeps_size(name, value):
    check_degradation(name, value)
    if value.scale != 1:
        raise ValueError(
            f"`{name}` must keep the size of images. Received: {name}={value}"
        )
