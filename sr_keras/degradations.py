"""Degradations: what turns an HR image into an LR one.

Every degradation is an object that is called with images and returns images of
the same dtype: `(height, width, channels)` or a batch `(batch, height, width,
channels)`, uint8, uint16, or float in [0, 1]; eager or inside a graph such as
`tf.data`; a numpy array where a numpy array came. Integers are rounded after
every step, as files are. Random degradations are called with a seed, an integer
or a pair of integers, and give the same result for the same seed.

    Downscale(4)(hr)                                        # MATLAB's bicubic
    GaussianNoise((0.0, 0.1))(images, seed=1)               # a random strength
    Compose([GaussianBlur((0.5, 3.0)), Downscale(4), JPEG((30, 95))])(hr, seed=1)
    get("crappify", scale=4)(hr, seed=1)                    # by name
"""

import dataclasses
import math
import numbers

import numpy as np
import tensorflow as tf

from sr_keras.layers import cubic
from sr_keras.models.arguments import check_scale

_PEAKS = {tf.uint8: 255, tf.uint16: 65535}


class Degradation:
    """Base class: subclasses define `_apply` for one float image.

    Attributes:
        scale: Factor by which the images shrink.
        is_random: Whether a call needs a seed.
        margin: How many pixels around an HR patch have an influence on it, at
            most.
        is_directed: Whether it treats left and right, up and down, or rows and
            columns differently, so that flipping or turning LR and HR images alike
            makes pairs of another degradation. (The rounding of integers, and the
            place of a JPEG file's blocks, are not counted.)
    """

    scale = 1
    margin = 0
    is_random = False
    is_directed = False

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def __call__(self, images, seed=None):
        """Degrades images.

        Args:
            images: `(height, width, channels)` or `(batch, height, width,
                channels)`; uint8, uint16 or float in [0, 1].
            seed: An integer or a pair of integers; needed if random. Every
                image of a batch draws its own strengths and noise.

        Returns:
            Images of the same dtype.

        Raises:
            ValueError: If the rank or the dtype is another one, or a seed is
                missing.
        """
        if self.is_random and seed is None:
            raise ValueError(f"{self} is random: call it with `seed=`.")
        is_array = isinstance(images, np.ndarray)
        images = tf.convert_to_tensor(images)
        if images.dtype not in _PEAKS and not images.dtype.is_floating:
            raise ValueError(
                f"Images must be uint8, uint16 or float. Received: {images.dtype.name}"
            )
        if images.shape.rank not in (3, 4):
            raise ValueError(
                "Images must have the shape ([batch,] height, width, channels)."
                f" Received: {images.shape}"
            )
        seed = _pair(seed)
        if images.shape.rank == 3:
            result = self._degrade(images, seed)
        else:
            fold_in = tf.random.experimental.stateless_fold_in
            result = tf.map_fn(
                lambda pair: self._degrade(pair[0], fold_in(seed, pair[1])),
                (images, tf.range(tf.shape(images)[0])),
                fn_output_signature=tf.TensorSpec(
                    (None, None, images.shape[-1]), images.dtype
                ),
            )
        return result.numpy() if is_array else result

    def _degrade(self, image, seed):
        """Degrades one image of any dtype, by way of float32 in [0, 1]."""
        peak = _PEAKS.get(image.dtype)
        if peak is None:
            return self._apply(image, seed)
        result = self._apply(tf.cast(image, tf.float32) / peak, seed)
        result = tf.floor(tf.clip_by_value(result, 0.0, 1.0) * peak + 0.5)
        return tf.cast(result, image.dtype)


def _pair(seed):
    """Makes a seed for TensorFlow's stateless functions."""
    seed = tf.cast(tf.convert_to_tensor(0 if seed is None else seed), tf.int64)
    return tf.stack([seed, tf.zeros_like(seed)]) if seed.shape.rank == 0 else seed


def _draw(strength, seed):
    """Returns a strength: a number as it is, one of (low, high) at random."""
    if isinstance(strength, tuple):
        low, high = strength
        return tf.random.stateless_uniform((), seed, float(low), float(high))
    return tf.constant(float(strength))


def _highest(strength):
    return max(strength) if isinstance(strength, tuple) else strength


def _check_strength(name, strength, low, high):
    values = strength if isinstance(strength, tuple) else (strength, strength)
    are_numbers = all(isinstance(value, numbers.Real) for value in values)
    if not are_numbers or len(values) != 2 or values[0] > values[1]:
        raise ValueError(
            f"`{name}` must be a number or a pair (low, high). Received: {strength}"
        )
    if not low <= values[0] <= values[1] <= high:
        raise ValueError(
            f"`{name}` must be between {low} and {high}. Received: {strength}"
        )


@dataclasses.dataclass(frozen=True)
class Downscale(Degradation):
    """Makes images `scale` times smaller.

    Integer images are computed in float64, rows first, then columns, rounded
    and clipped after each, which reproduces the LR files of the benchmark sets
    bit by bit. Floats are not clipped: bicubic overshoots at edges. Pixels at the
    bottom and the right that fill no whole LR pixel are ignored.

    Args:
        scale: A whole number from 1.
        method: "bicubic", antialiased as MATLAB's `imresize`; "bilinear",
            antialiased; "area", the mean of `scale x scale` pixels; "nearest",
            the middle one of them; or "drop", the first one of them.
        border: How images go on beyond their border: "replicate", as in the
            MATLAB that made the benchmark sets, or "symmetric", as in newer ones.

    Raises:
        ValueError: If an argument is none of these.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """

    scale: int = dataclasses.field()  # without a default, which the base class has
    method: str = "bicubic"
    border: str = "replicate"

    METHODS = ("bicubic", "bilinear", "area", "nearest", "drop")

    def __post_init__(self):
        object.__setattr__(self, "scale", check_scale(self.scale))
        if self.method not in self.METHODS:
            raise ValueError(
                f"`method` must be one of {', '.join(self.METHODS)}."
                f" Received: {self.method}"
            )
        if self.border not in ("replicate", "symmetric"):
            raise ValueError(
                f'`border` must be "replicate" or "symmetric". Received: {self.border}'
            )

    @property
    def margin(self):
        return 2 * self.scale

    @property
    def is_directed(self):
        offset, weights = _taps(self.method, self.scale)
        return 2 * offset + len(weights) != self.scale

    def _degrade(self, image, seed):
        if self.scale == 1:
            return image
        peak = _PEAKS.get(image.dtype)
        x = tf.cast(image, tf.float32 if peak is None else tf.float64)
        for axis in (0, 1):
            x = self._shrink(x, axis)
            if peak is not None:
                x = tf.floor(tf.clip_by_value(x, 0, peak) + 0.5)
        channels = image.shape[-1]
        x.set_shape((None, None, channels))
        return tf.cast(x, image.dtype)

    def _shrink(self, x, axis):
        offset, weights = _taps(self.method, self.scale)
        size = tf.shape(x)[axis] // self.scale * self.scale
        taps = tf.range(offset, offset + len(weights))
        index = _inside(
            tf.range(0, size, self.scale) + taps[:, None], size, self.border
        )
        return sum(
            weight * tf.gather(x, index[i], axis=axis)
            for i, weight in enumerate(weights)
        )


def _taps(method, scale):
    """Returns the first offset and the weights of what one LR pixel is made of.

    An LR pixel i lies at (i + 0.5) * scale - 0.5 among the HR pixels; offsets
    count from HR pixel i * scale.
    """
    center = (scale - 1) / 2
    if method == "area":
        return 0, np.full(scale, 1 / scale)
    if method == "nearest":
        return scale // 2, np.ones(1)
    if method == "drop":
        return 0, np.ones(1)
    offsets = np.arange(-2 * scale, 3 * scale)
    distance = (offsets - center) / scale
    if method == "bicubic":
        weights = cubic(distance)
    else:
        weights = np.maximum(1 - np.abs(distance), 0)
    used = np.flatnonzero(np.abs(weights) > 1e-12)
    used = slice(used[0], used[-1] + 1)
    return int(offsets[used][0]), weights[used] / weights.sum()


def _inside(index, size, border):
    """Maps indices beyond the border of an image to pixels inside of it."""
    if border == "symmetric":
        index = tf.where(index < 0, -index - 1, index)
        index = tf.where(index >= size, 2 * size - 1 - index, index)
    return tf.clip_by_value(index, 0, size - 1)


@dataclasses.dataclass(frozen=True)
class GaussianBlur(Degradation):
    """Blurs with a Gaussian, isotropic or anisotropic.

    Every strength is a number or a pair (low, high) to draw from.

    Args:
        sigma: Standard deviation in pixels, above 0.
        sigma_across: None for an isotropic blur, or the standard deviation
            across the direction `angle`.
        angle: Direction of `sigma` in degrees, counter-clockwise from the
            horizontal.
        radius: Pixels from the kernel's centre to its border; None for three
            standard deviations.
    """

    sigma: float | tuple = 1.6
    sigma_across: float | tuple | None = None
    angle: float | tuple = 0.0
    radius: int | None = None

    def __post_init__(self):
        _check_strength("sigma", self.sigma, 1e-3, 100)
        if self.radius is not None and self.radius < 1:
            raise ValueError(f"`radius` must be at least 1. Received: {self.radius}")
        if self.sigma_across is not None:
            _check_strength("sigma_across", self.sigma_across, 1e-3, 100)
        _check_strength("angle", self.angle, -360, 360)

    @property
    def is_random(self):
        strengths = (self.sigma, self.sigma_across, self.angle)
        return any(isinstance(strength, tuple) for strength in strengths)

    @property
    def margin(self):
        if self.radius is not None:
            return self.radius
        return math.ceil(3 * max(_highest(self.sigma), _highest(self._across)))

    @property
    def is_directed(self):
        return self.sigma_across not in (None, self.sigma)

    @property
    def _across(self):
        return self.sigma if self.sigma_across is None else self.sigma_across

    def _apply(self, image, seed):
        seeds = tf.random.experimental.stateless_split(seed, 3)
        sigma, angle = _draw(self.sigma, seeds[0]), _draw(self.angle, seeds[1])
        across = sigma
        if self.sigma_across is not None:
            across = _draw(self.sigma_across, seeds[2])

        radius = self.margin
        line = tf.range(-radius, radius + 1, dtype=tf.float32)
        x, y = line[None, :], -line[:, None]
        angle = angle * (math.pi / 180)
        along_distance = (x * tf.cos(angle) + y * tf.sin(angle)) / sigma
        across_distance = (y * tf.cos(angle) - x * tf.sin(angle)) / across
        kernel = tf.exp(-0.5 * (along_distance**2 + across_distance**2))
        kernel /= tf.reduce_sum(kernel)

        for axis in (0, 1):
            size = tf.shape(image)[axis]
            index = _inside(tf.range(-radius, size + radius), size, "replicate")
            image = tf.gather(image, index, axis=axis)
        kernel = tf.tile(kernel[..., None, None], (1, 1, tf.shape(image)[-1], 1))
        return tf.nn.depthwise_conv2d(
            image[None], tf.cast(kernel, image.dtype), (1, 1, 1, 1), "VALID"
        )[0]


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Degradation):
    """Adds Gaussian noise, the same strength everywhere: a sensor's read-out.

    Args:
        sigma: Standard deviation, where white is 1; a number from 0, or a pair
            (low, high) to draw from.
        grey: Whether all channels get the same noise.
    """

    sigma: float | tuple = 0.05
    grey: bool = False
    is_random = True

    def __post_init__(self):
        _check_strength("sigma", self.sigma, 0, 10)

    def _apply(self, image, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        shape = tf.shape(image)
        if self.grey:
            shape = tf.concat([shape[:2], [1]], 0)
        noise = tf.random.stateless_normal(shape, seeds[0], dtype=image.dtype)
        return image + tf.cast(_draw(self.sigma, seeds[1]), image.dtype) * noise


@dataclasses.dataclass(frozen=True)
class PoissonNoise(Degradation):
    """Counts photons: the noise grows with the square root of brightness.

    Args:
        peak: Photons of a white pixel; the fewer, the noisier. A number, or a
            pair (low, high) to draw from.
    """

    peak: float | tuple = 255.0
    is_random = True

    def __post_init__(self):
        _check_strength("peak", self.peak, 1, 1e6)

    def _apply(self, image, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        peak = tf.cast(_draw(self.peak, seeds[1]), image.dtype)
        rate = tf.maximum(image, 0.0) * peak
        counts = tf.random.stateless_poisson(
            tf.shape(image), seeds[0], rate, dtype=image.dtype
        )
        return counts / peak


@dataclasses.dataclass(frozen=True)
class JPEG(Degradation):
    """Compresses as a JPEG file and decodes it again.

    Args:
        quality: From 1 to 100; a whole number, or a pair (low, high) to draw
            from.
    """

    quality: int | tuple = 75
    margin = 16  # colours are stored in blocks of 16x16 pixels

    def __post_init__(self):
        _check_strength("quality", self.quality, 1, 100)

    @property
    def is_random(self):
        return isinstance(self.quality, tuple)

    def _apply(self, image, seed):
        if image.shape[-1] not in (1, 3, None):
            raise ValueError(
                "JPEG needs images of 1 or 3 channels. Received:"
                f" {image.shape[-1]} channels"
            )
        quality = tf.cast(tf.round(_draw(self.quality, seed)), tf.int32)
        pixels = tf.cast(tf.clip_by_value(image, 0.0, 1.0) * 255 + 0.5, tf.uint8)
        # the default decodes fast, and up to 10 levels off
        pixels = tf.image.adjust_jpeg_quality(pixels, quality, "INTEGER_ACCURATE")
        return tf.cast(pixels, image.dtype) / 255


@dataclasses.dataclass(frozen=True)
class Quantize(Degradation):
    """Keeps only some levels of brightness in every channel.

    Args:
        levels: From 2; a whole number, or a pair (low, high) to draw from.
    """

    levels: int | tuple = 16

    def __post_init__(self):
        _check_strength("levels", self.levels, 2, 65536)

    @property
    def is_random(self):
        return isinstance(self.levels, tuple)

    def _apply(self, image, seed):
        steps = tf.cast(tf.round(_draw(self.levels, seed)) - 1, image.dtype)
        return tf.round(image * steps) / steps


@dataclasses.dataclass(frozen=True)
class DropPixels(Degradation):
    """Loses pixels at random: they become black.

    Args:
        fraction: Share of the pixels that is lost; a number in [0, 1], or a pair
            (low, high) to draw from.
    """

    fraction: float | tuple = 0.1
    is_random = True

    def __post_init__(self):
        _check_strength("fraction", self.fraction, 0, 1)

    def _apply(self, image, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        shape = tf.concat([tf.shape(image)[:2], [1]], 0)
        draw = tf.random.stateless_uniform(shape, seeds[0])
        kept = draw >= _draw(self.fraction, seeds[1])
        return image * tf.cast(kept, image.dtype)


@dataclasses.dataclass(frozen=True)
class Compose(Degradation):
    """Applies degradations one after the other.

    Args:
        steps: Degradations.
        shuffle: Whether each image draws their order at random.
    """

    steps: tuple
    shuffle: bool = False

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(self.steps))

    @property
    def scale(self):
        return math.prod(step.scale for step in self.steps)

    @property
    def margin(self):
        margin, shrunk = 0, 1
        for step in self.steps:
            if self.shuffle:
                shrunk = self.scale // step.scale  # all others may come before it
            margin += step.margin * shrunk
            shrunk *= step.scale
        return margin

    @property
    def is_random(self):
        return self.shuffle or any(step.is_random for step in self.steps)

    @property
    def is_directed(self):
        return any(step.is_directed for step in self.steps)

    def _degrade(self, image, seed):
        count = len(self.steps)
        seeds = tf.random.experimental.stateless_split(seed, count + 1)
        if not self.shuffle:
            for i, step in enumerate(self.steps):
                image = step._degrade(image, seeds[i])
            return image
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds[count])
        channels = image.shape[-1]
        for i in range(count):
            branches = [
                lambda step=step, image=image, i=i: step._degrade(image, seeds[i])
                for step in self.steps
            ]
            image = tf.switch_case(order[i], branches)
            image.set_shape((None, None, channels))
        return image


_NAMED = {
    # the benchmark degradations of the field: BI, BD and DN
    **{name: lambda s, name=name: Downscale(s, name) for name in Downscale.METHODS},
    "blur": lambda s: Compose([GaussianBlur(1.6, radius=3), Downscale(s, "nearest")]),
    "noise": lambda s: Compose([Downscale(s), GaussianNoise(30 / 255)]),
    "jpeg": lambda s: Compose([Downscale(s), JPEG((30, 90))]),
    "crappify": lambda s: Compose(
        [
            GaussianBlur((0.2, 2.0), (0.2, 2.0), (0, 180)),
            Downscale(s),
            GaussianNoise((0.0, 0.06)),
            Quantize((16, 256)),
            JPEG((20, 90)),
        ],
        shuffle=True,
    ),
}
NAMES = tuple(_NAMED)


def get(name, scale):
    """Returns the degradation of a name.

    "bicubic" (the field's BI), "bilinear", "area", "nearest" and "drop" only
    downscale; "blur" is BD (a Gaussian of 7x7 pixels and sigma 1.6, then every
    `scale`-th pixel: papers use it at x3, and at even scales those pixels lie half a
    pixel off the centre), "noise" is DN (bicubic, then Gaussian noise of sigma
    30/255), "jpeg" is bicubic, then JPEG of a random quality of 30 to 90, and
    "crappify" applies anisotropic blur, downscaling, Gaussian noise, quantization and
    JPEG, each of a random strength, in random order.

    Args:
        name: One of `NAMES`, or a `Degradation`, which is returned as it is.
        scale: Factor by which images shrink; 1 keeps their size.

    Raises:
        ValueError: If there is no such name, or the scale is another one.
    """
    if isinstance(name, Degradation):
        if name.scale != scale:
            raise ValueError(
                f"The degradation shrinks by {name.scale}, where `scale` is {scale}."
            )
        return name
    if name not in _NAMED:
        raise ValueError(
            f"`degradation` must be one of {', '.join(NAMES)}. Received: {name}"
        )
    return _NAMED[name](scale)
