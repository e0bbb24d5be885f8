"""Noise."""

import dataclasses
import functools

import cv2
import numpy as np
from scipy import special

from sr_keras.degradations.base import (
    PEAKS,
    Degradation,
    cast,
    check_strength,
    draw,
    register,
)


@register
@dataclasses.dataclass(frozen=True)
class GaussianNoise(Degradation):
    """Adds Gaussian noise of the same strength everywhere, like a sensor's read noise.

    Args:
        sigma: Standard deviation, where white is 1: a non-negative number, or a pair
            (low, high) to draw from.
        grey: Whether all channels get the same noise.

    Raises:
        ValueError: If `sigma` is out of range.
    """

    sigma: float | tuple = 0.05
    grey: bool = False
    is_random = True

    def __post_init__(self):
        check_strength("sigma", self.sigma, 0, 10)

    def _degrade(self, image, rng):
        sigma = draw(self.sigma, rng) * PEAKS.get(image.dtype.name, 1)
        shape = (*image.shape[:2], 1) if self.grey else image.shape
        noise = np.empty(shape, "float32")
        # OpenCV draws normal numbers four times as fast as NumPy
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise.reshape(len(noise), -1), 0, sigma)  # sigma is of one channel
        if self.grey or image.dtype != np.uint8:
            return cast(noise + np.float32(image), image.dtype)
        return cv2.add(image, noise, dtype=cv2.CV_8U).reshape(image.shape)


@register
@dataclasses.dataclass(frozen=True)
class PoissonNoise(Degradation):
    """Adds photon noise, whose strength grows with the square root of brightness.

    Args:
        peak: Number of photons of a white pixel; fewer photons make more noise. A
            number, or a pair (low, high) to draw from.

    Raises:
        ValueError: If `peak` is out of range.
    """

    peak: float | tuple = 255.0
    is_random = True

    def __post_init__(self):
        check_strength("peak", self.peak, 1, 1e6)

    def apply(self, image, rng):
        peak = draw(self.peak, rng)
        counts = rng.poisson(np.maximum(image, 0) * peak)
        return (counts / peak).astype("float32")


@register
@dataclasses.dataclass(frozen=True)
class ShotNoise(Degradation):
    """Adds photon noise by a table: the Poisson noise of Real-ESRGAN, only faster.

    A pixel of the brightness `v` in 0-255 gets the noise of `v` photons, `Poisson(v) -
    v`, multiplied by `strength`. Real-ESRGAN gives white fewer photons in images with
    at most 128 different values (128, 64, ...); here white always has 255.

    The numbers are drawn from 1024 quantiles of each of the 256 distributions, which
    takes a tenth of the time of NumPy's generator. The brightness is rounded to 8 bits
    for this, also for images of 16 bits and floats.

    Args:
        strength: Factor of the noise: a number of 0 or more, or a pair (low, high) to
            draw from. White has a standard deviation of `strength * 16 / 255`.
        grey: Whether all channels get the same noise, that of the grey image.

    Raises:
        ValueError: If `strength` is out of range.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """

    strength: float | tuple = (0.05, 3.0)
    grey: bool = False
    is_random = True

    def __post_init__(self):
        check_strength("strength", self.strength, 0, 100)

    def _degrade(self, image, rng):
        peak = PEAKS.get(image.dtype.name, 1)
        level = image
        if image.dtype != np.uint8:
            level = cast(np.float32(image) * np.float32(255 / peak), np.dtype("uint8"))
        if self.grey and image.shape[-1] == 3:
            level = cv2.cvtColor(level, cv2.COLOR_RGB2GRAY)[..., None]
        elif self.grey:
            level = level[..., :1]
        strength = np.float32(draw(self.strength, rng) * peak / 255)
        places = np.frombuffer(rng.bytes(2 * level.size), "<u2").astype("uint32")
        places &= _QUANTILES - 1
        places += level.reshape(-1).astype("uint32") * _QUANTILES
        noise = _photon_noise().take(places).reshape(level.shape)
        return _added(image, noise * strength)


_QUANTILES = np.uint32(1024)


@functools.cache
def _photon_noise():
    """Returns quantiles of `Poisson(v) - v` for v in 0-255, one after the other."""
    counts = np.arange(400)
    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    tables = [np.zeros(_QUANTILES)]
    for level in range(1, 256):
        photons = np.searchsorted(special.pdtr(counts, level), places)
        tables.append(photons - photons.mean())
    return np.concatenate(tables).astype("float32")


@register
@dataclasses.dataclass(frozen=True)
class CorrelatedNoise(Degradation):
    """Adds Gaussian noise whose channels depend on each other in a random way.

    The covariance of the channels is `sigma**2 * U' D U`, with a random rotation `U`
    and a diagonal `D` of random numbers in [0, 1]. Cameras make such noise when they
    compute colours. It is the general case of BSRGAN's noise, of which independent
    channels and grey noise are the other two.

    Args:
        sigma: Largest standard deviation, where white is 1: a non-negative number, or
            a pair (low, high) to draw from.

    Raises:
        ValueError: If `sigma` is out of range.

    Reference:
        [Zhang et al., 2021](https://arxiv.org/abs/2103.14006)
    """

    sigma: float | tuple = (2 / 255, 25 / 255)
    is_random = True

    def __post_init__(self):
        check_strength("sigma", self.sigma, 0, 10)

    def _degrade(self, image, rng):
        channels = image.shape[-1]
        sigma = draw(self.sigma, rng) * PEAKS.get(image.dtype.name, 1)
        rotation, _ = np.linalg.qr(rng.standard_normal((channels, channels)))
        root = np.sqrt(rng.random(channels))[:, None] * rotation
        noise = np.empty((image.shape[0], image.shape[1] * channels), "float32")
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, 0, sigma)
        noise = noise.reshape(-1, channels) @ root.astype("float32")
        return _added(image, noise.reshape(image.shape))


def _added(image, noise):
    """Adds float noise to an image of any dtype; grey noise to all channels."""
    if image.dtype != np.uint8:
        return cast(noise + np.float32(image), image.dtype)
    if noise.shape != image.shape:
        noise = cv2.merge([noise] * image.shape[-1])
    return cv2.add(image, noise, dtype=cv2.CV_8U).reshape(image.shape)


@register
@dataclasses.dataclass(frozen=True)
class DropPixels(Degradation):
    """Sets random pixels to black.

    Args:
        fraction: Fraction of the pixels to drop: a number in [0, 1], or a pair (low,
            high) to draw from.

    Raises:
        ValueError: If `fraction` is out of range.
    """

    fraction: float | tuple = 0.1
    is_random = True

    def __post_init__(self):
        check_strength("fraction", self.fraction, 0, 1)

    def _degrade(self, image, rng):
        kept = rng.random((*image.shape[:2], 1), "float32") >= draw(self.fraction, rng)
        return image * kept.astype(image.dtype)
