"""Blur: the kernels, and the degradations that filter with them."""

import dataclasses
import math

import cv2
import numpy as np
from scipy import special

from sr_keras.degradations.base import (
    Degradation,
    cast,
    check_choice,
    check_odds,
    check_strength,
    choose,
    draw,
    generator,
    highest,
    register,
)

SHAPES = ("gaussian", "generalized", "plateau")

_DIRECT_FILTER = 121  # OpenCV filters with larger kernels by a slower Fourier transform
_TAPS_OF_A_TERM = 20  # of a direct filter that take as long as a separable filter
_KERNEL_ERROR = 0.008  # sum of the absolute errors of a kernel whose sum is 1


@register
@dataclasses.dataclass(frozen=True)
class GaussianBlur(Degradation):
    """Blurs with an isotropic or anisotropic Gaussian.

    Every strength is a number, or a pair (low, high) to draw from.

    Args:
        sigma: Standard deviation in pixels, positive.
        sigma_across: Standard deviation perpendicular to the direction `angle`, or
            None for an isotropic blur.
        angle: Direction of `sigma` in degrees, counter-clockwise from the horizontal.
        radius: Distance in pixels from the centre of the kernel to its border; None
            for three standard deviations.

    Raises:
        ValueError: If a strength is out of range.
    """

    sigma: float | tuple = 1.6
    sigma_across: float | tuple | None = None
    angle: float | tuple = 0.0
    radius: int | None = None

    def __post_init__(self):
        check_strength("sigma", self.sigma, 1e-3, 100)
        if self.radius is not None and self.radius < 1:
            raise ValueError(
                f"`radius` must be a positive integer. Received: radius={self.radius!r}"
            )
        if self.sigma_across is not None:
            check_strength("sigma_across", self.sigma_across, 1e-3, 100)
        check_strength("angle", self.angle, -360, 360)

    @property
    def is_random(self):
        strengths = (self.sigma, self.sigma_across, self.angle)
        return any(isinstance(strength, tuple) for strength in strengths)

    @property
    def margin(self):
        across = self.sigma if self.sigma_across is None else self.sigma_across
        return self._radius(max(highest(self.sigma), highest(across)))

    @property
    def is_equivariant(self):
        return self.sigma_across in (None, self.sigma) and not isinstance(
            self.sigma_across, tuple
        )

    def _radius(self, sigma):
        if self.radius is not None:
            return self.radius
        return math.ceil(3 * sigma - 1e-9)  # the cosine of 90 degrees is not quite 0

    def _degrade(self, image, rng):
        sigma = across = draw(self.sigma, rng)
        angle = math.radians(draw(self.angle, rng))
        if self.sigma_across is not None:
            across = draw(self.sigma_across, rng)
        x = np.ascontiguousarray(image, "float32")  # OpenCV filters floats faster
        if sigma == across:
            radius = self._radius(sigma)
            line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
            line /= line.sum()
            x = cv2.sepFilter2D(x, -1, line, line, borderType=cv2.BORDER_REPLICATE)
        else:
            x = _filter(x, self._kernel(sigma, across, angle))
        if image.dtype == np.uint8:  # the fastest way to round what is never negative
            return cv2.convertScaleAbs(x).reshape(image.shape)
        return cast(x.reshape(image.shape), image.dtype)

    def _kernel(self, sigma, across, angle):
        cos, sin = math.cos(angle), math.sin(angle)
        # standard deviations along the axes, which bound the ellipse of 3 sigma
        right = self._radius(math.hypot(sigma * cos, across * sin))
        up = self._radius(math.hypot(sigma * sin, across * cos))
        x = np.arange(-right, right + 1)
        y = np.arange(up, -up - 1, -1)[:, None]
        along = (x * cos + y * sin) / sigma
        aside = (y * cos - x * sin) / across
        kernel = np.exp(-0.5 * (along**2 + aside**2))
        return kernel / kernel.sum()


def _filter(image, kernel):
    """Filters an image, repeating the pixels of its border."""
    centre, middle = (side // 2 for side in kernel.shape)
    border = cv2.BORDER_REPLICATE
    half = (centre + 1) * kernel.shape[1]
    if kernel.size <= _DIRECT_FILTER or half > _DIRECT_FILTER:
        return cv2.filter2D(image, -1, kernel, borderType=border)
    upper, lower = kernel[: centre + 1], kernel[centre:].copy()
    lower[0] = 0  # the middle row belongs to `upper`
    return cv2.add(
        *(
            cv2.filter2D(image, -1, part, anchor=anchor, borderType=border)
            for part, anchor in ((upper, (middle, centre)), (lower, (middle, 0)))
        )
    )


def gaussian_kernel(
    size, sigma, sigma_across=None, angle=0.0, shape="gaussian", beta=1
):
    """Makes a kernel from a Gaussian, or from one of two relatives of it.

    With the distance `d` from the centre in standard deviations, the kernel is
    proportional to

        exp(-d**2 / 2)              "gaussian"
        exp(-d**(2 * beta) / 2)     "generalized": flat with steep sides for beta > 1,
                                    a sharp peak with long tails for beta < 1
        1 / (1 + d**(2 * beta))     "plateau": long tails

    Args:
        size: Height and width in pixels, a positive odd integer.
        sigma: Standard deviation in pixels, positive.
        sigma_across: Standard deviation perpendicular to the direction `angle`, or
            None for an isotropic kernel.
        angle: Direction of `sigma` in degrees, counter-clockwise from the horizontal.
        shape: "gaussian", "generalized" or "plateau".
        beta: Exponent of the last two, positive.

    Returns:
        `(size, size)`, float64, with the sum 1.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Liu et al., 2020](https://doi.org/10.1016/j.patcog.2020.107230) for the shapes,
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833) for their use
    """
    _check_size("size", size)
    check_choice("shape", shape, SHAPES)
    across = sigma if sigma_across is None else sigma_across
    check_strength("sigma", sigma, 1e-3, 100)
    check_strength("sigma_across", across, 1e-3, 100)
    check_strength("beta", beta, 1e-2, 100)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    y, x = _offsets(size)
    squares = ((x * cos + y * sin) / sigma) ** 2 + ((y * cos - x * sin) / across) ** 2
    if shape == "plateau":
        kernel = 1 / (1 + squares**beta)
    else:
        kernel = np.exp(-0.5 * (squares if shape == "gaussian" else squares**beta))
    return kernel / kernel.sum()


def sinc_kernel(size, cutoff):
    """Makes a circular low-pass filter, whose sharp end makes edges ring.

    It is the transform of a disc in the frequency plane, `cutoff * J1(cutoff * r) /
    (2 * pi * r)` at the distance `r`, cut to a square. Photos that were sharpened or
    resized by a filter with negative lobes show such rings.

    Args:
        size: Height and width in pixels, a positive odd integer.
        cutoff: Highest frequency that passes, in radians per pixel, in (0, pi].

    Returns:
        `(size, size)`, float64, with the sum 1 and negative rings.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """
    _check_size("size", size)
    check_strength("cutoff", cutoff, 1e-2, math.pi)
    y, x = _offsets(size)
    r = np.hypot(x, y)
    r[size // 2, size // 2] = 1  # replaced by the limit
    kernel = cutoff * special.j1(cutoff * r) / (2 * math.pi * r)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return kernel / kernel.sum()


def _offsets(size):
    """Returns the distances from the centre upwards and to the right."""
    steps = np.arange(size) - size // 2
    return -steps[:, None].astype(float), steps[None].astype(float)


def _check_size(name, size):
    values = size if isinstance(size, tuple) else (size, size)
    check_strength(name, size, 1, 101)
    if any(value != int(value) or value % 2 == 0 for value in values):
        raise ValueError(
            f"`{name}` must be odd, or a pair of odd integers."
            f" Received: {name}={size!r}"
        )


class _KernelFilter(Degradation):
    """Filters with a kernel of its own for each image; a subclass defines `_draw`."""

    is_random = True

    @property
    def margin(self):
        return highest(self.size) // 2

    def draw_kernel(self, seed):
        """Returns the kernel that an image would be filtered with, to look at it.

        Args:
            seed: An integer or several.

        Returns:
            `(size, size)`, float64, with the sum 1.
        """
        return self._draw(generator(seed))

    def _draw_size(self, rng):
        low, high = np.array(self.size) * np.ones(2, int)
        return 2 * int(rng.integers(low // 2, high // 2 + 1)) + 1

    def _degrade(self, image, rng):
        return filter_with(image, self._draw(rng))


@register
@dataclasses.dataclass(frozen=True)
class KernelBlur(_KernelFilter):
    """Blurs with a kernel of random shape: the blur of Real-ESRGAN.

    For each image, a size, a shape and standard deviations are drawn. The defaults are
    those of the paper's first blur; its second has `sigma=(0.2, 1.5)`. Half of the
    exponents are drawn below 1 and half above. `gaussian_kernel` has the formulas.

    Args:
        sigma: Standard deviation in pixels, a number or a pair (low, high) to draw
            from; drawn twice for an anisotropic kernel, which has a random direction.
        size: Height and width of the kernel in pixels, an odd integer or a pair of
            them to draw from.
        shapes: Shapes of `gaussian_kernel` to draw from.
        odds: How often each shape is drawn, relative to the others.
        anisotropic: For each shape, the share of its kernels that are anisotropic.
        beta_generalized: Exponent of the shape "generalized", a number or a pair.
        beta_plateau: Exponent of the shape "plateau", a number or a pair.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """

    sigma: float | tuple = (0.2, 3.0)
    size: int | tuple = (7, 21)
    shapes: tuple = SHAPES
    odds: tuple = (0.7, 0.15, 0.15)
    anisotropic: tuple = (5 / 14, 0.2, 0.2)
    beta_generalized: float | tuple = (0.5, 4.0)
    beta_plateau: float | tuple = (1.0, 2.0)

    is_equivariant = False

    def __post_init__(self):
        check_strength("sigma", self.sigma, 1e-3, 100)
        _check_size("size", self.size)
        for name in ("shapes", "odds", "anisotropic"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for shape in self.shapes:
            check_choice("shapes", shape, SHAPES)
        check_odds("odds", self.odds, len(self.shapes))
        for share in self.anisotropic:
            check_strength("anisotropic", share, 0, 1)
        if len(self.anisotropic) != len(self.shapes):
            raise ValueError(
                f"`anisotropic` must have a number for each of {self.shapes}."
                f" Received: anisotropic={self.anisotropic}"
            )
        check_strength("beta_generalized", self.beta_generalized, 1e-2, 100)
        check_strength("beta_plateau", self.beta_plateau, 1e-2, 100)

    def _draw(self, rng):
        size = self._draw_size(rng)
        shape, share = choose(
            list(zip(self.shapes, self.anisotropic, strict=True)), self.odds, rng
        )
        sigma, across, angle, beta = draw(self.sigma, rng), None, 0.0, 1.0
        if rng.random() < share:
            across, angle = draw(self.sigma, rng), rng.uniform(-180, 180)
        if shape != "gaussian":
            is_plateau = shape == "plateau"
            beta = _draw_beta(
                self.beta_plateau if is_plateau else self.beta_generalized, rng
            )
        return gaussian_kernel(size, sigma, across, angle, shape, beta)


def _draw_beta(beta, rng):
    """Draws below 1 and above 1 equally often, where the range has both."""
    if not isinstance(beta, tuple):
        return beta
    low, high = beta
    if low <= 1 <= high:
        return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    return rng.uniform(low, high)


@register
@dataclasses.dataclass(frozen=True)
class Sinc(_KernelFilter):
    """Filters with a circular low-pass filter, so that edges ring.

    The defaults are those of Real-ESRGAN's last filter. `sinc_kernel` has the formula.

    Args:
        cutoff: Highest frequency that passes, in radians per pixel: a number in (0,
            pi], or a pair (low, high) to draw from.
        size: As in `KernelBlur`.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """

    cutoff: float | tuple = (math.pi / 3, math.pi)
    size: int | tuple = (7, 21)

    def __post_init__(self):
        check_strength("cutoff", self.cutoff, 1e-2, math.pi)
        _check_size("size", self.size)

    def _draw(self, rng):
        return sinc_kernel(self._draw_size(rng), draw(self.cutoff, rng))


def filter_with(image, kernel):
    """Filters an image with a kernel of odd size, repeating the pixels of its border.

    A kernel is a sum of separable ones, by its singular values. Most kernels of 21x21
    pixels need two to six of them, which takes a fifth of the time of OpenCV's Fourier
    transform. The terms that are left out change a pixel by 0.8 % of white at most.
    """
    kernel = _trimmed(kernel)
    border = cv2.BORDER_REPLICATE
    x = image if image.dtype == np.uint8 else np.float32(image)
    terms = _separable_terms(kernel)
    if len(terms) * _TAPS_OF_A_TERM > kernel.size:
        result = cv2.filter2D(x, -1, kernel, borderType=border)
    else:
        result = None
        for column, row in terms:
            part = cv2.sepFilter2D(x, cv2.CV_32F, row, column, borderType=border)
            result = part if result is None else cv2.add(result, part, result)
    result = result.reshape(image.shape)
    return result if result.dtype == image.dtype else cast(result, image.dtype)


def _trimmed(kernel):
    """Cuts the outermost pixels as long as they are nearly 0."""
    total = np.abs(kernel).sum()
    while len(kernel) > 1:
        inner = kernel[1:-1, 1:-1]
        if total - np.abs(inner).sum() > _KERNEL_ERROR / 8:
            break
        kernel = inner
    return kernel / kernel.sum()


def _separable_terms(kernel):
    """Returns the columns and rows whose products add up to the kernel, or nearly."""
    columns, values, rows = np.linalg.svd(kernel)
    columns, left, terms = columns * values, kernel.copy(), []
    for column, row in zip(columns.T, rows, strict=True):
        terms.append((column, row))
        left -= np.outer(column, row)
        if np.abs(left).sum() <= _KERNEL_ERROR:
            break
    return terms
