"""Degradations that resemble what happens to real photos, one class per paper.

Both change the size of an image several times and end at `1 / scale` of it. Their steps
are degradations, so that `dataclasses.replace` changes one and keeps the others:

    mild = dataclasses.replace(SecondOrder(4), jpegs=(JPEG((60, 95)), JPEG((60, 95))))
"""

import dataclasses
import math

import cv2
import numpy as np

from sr_keras.checks import check_scale
from sr_keras.degradations.base import (
    Degradation,
    cast,
    check_choice,
    check_keeps_size,
    check_odds,
    check_strength,
    choose,
    register,
)
from sr_keras.degradations.blur import KernelBlur, Sinc
from sr_keras.degradations.composition import OneOf, Sometimes
from sr_keras.degradations.compression import JPEG
from sr_keras.degradations.noise import CorrelatedNoise, GaussianNoise, ShotNoise

_METHODS = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
_WINDOW_MARGIN = 8  # LR pixels


def _blur(sigma):
    """Real-ESRGAN's blur: a tenth of the kernels are low-pass filters that ring."""
    small = Sinc((math.pi / 3, math.pi), (7, 11))
    large = Sinc((math.pi / 5, math.pi), (13, 21))
    # three of the eight sizes from 7 to 21 are small
    return OneOf((KernelBlur(sigma), small, large), (0.9, 0.0375, 0.0625))


def _noise(highest, strongest):
    """Real-ESRGAN's noise: Gaussian or of photons, 40 % of it grey."""
    sigma = (1 / 255, highest / 255)
    choices = (
        GaussianNoise(sigma),
        GaussianNoise(sigma, grey=True),
        ShotNoise((0.05, strongest)),
        ShotNoise((0.05, strongest), grey=True),
    )
    return OneOf(choices, (0.3, 0.2, 0.3, 0.2))


class _Real(Degradation):
    """What both classes share: the margin of a patch, and a short `repr`."""

    is_random = True
    is_equivariant = False

    def __repr__(self):
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if field.name == "scale" or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    @property
    def margin(self):
        return _WINDOW_MARGIN * self.scale

    def _check(self):
        object.__setattr__(self, "scale", check_scale(self.scale))
        object.__setattr__(self, "methods", tuple(self.methods))
        for method in self.methods:
            check_choice("methods", method, tuple(_METHODS))
        if not self.methods:
            raise ValueError("`methods` must not be empty. Received: methods=()")

    def _resized(self, image, size, rng):
        """Resizes without antialiasing (except "area"), by a random method."""
        size = tuple(max(round(side), 1) for side in size)
        method = _METHODS[choose(self.methods, None, rng)]
        if image.shape[:2] == size:
            return image
        x = image if image.dtype.kind == "u" else np.float32(image)
        x = cv2.resize(x, size[::-1], interpolation=method)
        return x.reshape(*size, image.shape[2]).astype(image.dtype, copy=False)


@register
@dataclasses.dataclass(frozen=True, repr=False)
class SecondOrder(_Real):
    """Degrades twice in a row: the model of Real-ESRGAN for photos from the internet.

    A photo is blurred, resized by a random factor, made noisy and compressed, as by a
    camera and a first website, and all this is done a second time. The second time, the
    size is a random factor of that of the result. At the end the photo is resized to
    `1 / scale` and filtered by `final`, and compressed either before or after that.

    The defaults are the ranges of the paper, as in its code for the training of
    Real-ESRGAN. Three things differ: every patch has a degradation of its own rather
    than every batch of a pool, integer images are rounded after each step, and the
    number of photons does not depend on the image (see `ShotNoise`).

    A patch is degraded with a margin of 8 LR pixels. At the smallest intermediate sizes
    a pixel has some influence from farther away, which the margin cuts off; the paper
    has no margin.

    Args:
        scale: Factor by which images shrink in total; 1 to keep their size.
        blurs: The first and the second blur.
        factors: For each of the two resizes, the smallest and the largest factor. The
            first is relative to the image, the second to the size of the result.
        odds: For each resize, how often it enlarges (factor from 1 to the largest),
            shrinks (factor from the smallest to 1), and keeps the size.
        noises: The first and the second noise.
        jpegs: The first and the second compression.
        final: The last filter.
        methods: Ways of resizing to draw from, by OpenCV: "area", "bilinear" and
            "bicubic", the last two without antialiasing.

    Raises:
        ValueError: If an argument is not supported, or an image has neither 1 nor 3
            channels, which JPEG requires.

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """

    scale: int = dataclasses.field()
    blurs: tuple = (_blur((0.2, 3.0)), Sometimes(0.8, _blur((0.2, 1.5))))
    factors: tuple = ((0.15, 1.5), (0.3, 1.2))
    odds: tuple = ((0.2, 0.7, 0.1), (0.3, 0.4, 0.3))
    noises: tuple = (_noise(30, 3.0), _noise(25, 2.5))
    jpegs: tuple = (JPEG((30, 95)), JPEG((30, 95)))
    final: Degradation = Sometimes(0.8, Sinc())
    methods: tuple = tuple(_METHODS)

    def __post_init__(self):
        self._check()
        for name in ("blurs", "noises", "jpegs", "factors", "odds"):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or len(values) != 2:
                raise ValueError(
                    f"`{name}` must have an item for the first and one for the second"
                    f" degradation. Received: {name}={values!r}"
                )
            object.__setattr__(self, name, tuple(values))
            if name in ("blurs", "noises", "jpegs"):
                for value in values:
                    check_keeps_size(name, value)
        check_keeps_size("final", self.final)
        for factors, odds in zip(self.factors, self.odds, strict=True):
            check_strength("factors", factors, 0.05, 4)
            if not isinstance(factors, tuple) or not factors[0] <= 1 <= factors[1]:
                raise ValueError(
                    "`factors` must be pairs (smallest, largest) with 1 between them."
                    f" Received: factors={self.factors}"
                )
            check_odds("odds", odds, 3)

    def _degrade(self, image, rng):
        size = tuple(side // self.scale for side in image.shape[:2])
        x = image[: size[0] * self.scale, : size[1] * self.scale]
        for i, base in enumerate((x.shape[:2], size)):
            x = self.blurs[i]._degrade(x, rng)
            factor = self._draw_factor(i, rng)
            x = self._resized(x, [factor * side for side in base], rng)
            x = self.noises[i]._degrade(x, rng)
            if i == 0:
                x = self.jpegs[0]._degrade(x, rng)
        if rng.random() < 0.5:
            x = self.final._degrade(self._resized(x, size, rng), rng)
            return self.jpegs[1]._degrade(x, rng)
        x = self.jpegs[1]._degrade(x, rng)
        return self.final._degrade(self._resized(x, size, rng), rng)

    def _draw_factor(self, i, rng):
        smallest, largest = self.factors[i]
        low, high = choose(((1, largest), (smallest, 1), (1, 1)), self.odds[i], rng)
        return rng.uniform(low, high)


@register
@dataclasses.dataclass(frozen=True, repr=False)
class Shuffled(_Real):
    """Degrades in a random order: the model of BSRGAN.

    The order of two blurs, noise, compression and two resizes is drawn for each image,
    except that the second resize comes after the first, and a last compression ends the
    sequence. The first resize goes to a random size between that of the image and half
    that of the result; in a quarter of the cases it is a blur whose every `scale`-th
    pixel is taken. The second goes to `1 / scale`. At the scale 4 a quarter of the
    images are halved before all this.

    The defaults are the ranges of the paper and its code. The noise of a camera's
    sensor, a quarter of the cases in the paper, is left out: it needs a model of the
    camera that computes colours from raw values. The margin of a patch is that of
    `SecondOrder`.

    Args:
        scale: Factor by which images shrink in total; 1 to keep their size.
        steps: Degradations that keep the size; None for the paper's for `scale`: two
            blurs, noise and JPEG in 75 % of the cases.
        last: What ends the sequence.
        halved: Probability that an image is halved first, at the scale 4.
        methods: As in `SecondOrder`.

    Raises:
        ValueError: If an argument is not supported, or an image has neither 1 nor 3
            channels, which JPEG requires.

    Reference:
        [Zhang et al., 2021](https://arxiv.org/abs/2103.14006)
    """

    scale: int = dataclasses.field()
    steps: tuple | None = None
    last: Degradation = JPEG((30, 95))
    halved: float = 0.25
    methods: tuple = ("area", "bilinear", "bicubic")

    def __post_init__(self):
        self._check()
        if self.steps is not None:
            object.__setattr__(self, "steps", tuple(self.steps))
            for step in self.steps:
                check_keeps_size("steps", step)
        check_keeps_size("last", self.last)
        check_strength("halved", self.halved, 0, 1)

    def _steps(self, scale):
        if self.steps is not None:
            return self.steps
        # standard deviations; the code of the paper draws variances of 0 to 4 + scale
        round_ = KernelBlur((0.1, 2 + 0.2 * scale), (7, 25), ("gaussian",), (1,), (0,))
        long = KernelBlur(
            (0.3, math.sqrt(4 + scale)), (7, 25), ("gaussian",), (1,), (1,)
        )
        sigma = (2 / 255, 25 / 255)
        noises = (
            GaussianNoise(sigma),
            GaussianNoise(sigma, True),
            CorrelatedNoise(sigma),
        )
        blur = OneOf((round_, long))
        noise = OneOf(noises, (0.4, 0.4, 0.2))
        return blur, blur, noise, Sometimes(0.75, JPEG((30, 95)))

    def _degrade(self, image, rng):
        size = tuple(side // self.scale for side in image.shape[:2])
        x = image[: size[0] * self.scale, : size[1] * self.scale]
        factor = self.scale  # by which `x` is still larger than the result
        if self.scale == 4 and rng.random() < self.halved:
            x = self._resized(x, [2 * side for side in size], rng)
            factor = 2
        steps = [*self._steps(factor), "first", "second"]
        order = list(rng.permutation(len(steps)))
        first, second = (order.index(steps.index(name)) for name in steps[-2:])
        if second < first:
            order[first], order[second] = order[second], order[first]
        for i in order:
            if steps[i] == "first":
                x = self._shrunk(x, factor, rng)
            elif steps[i] == "second":
                x = self._resized(x, size, rng)
            else:
                x = steps[i]._degrade(x, rng)
        return self.last._degrade(x, rng)

    def _shrunk(self, image, factor, rng):
        if factor == 1 or rng.random() < 0.75:
            times = rng.uniform(1, 2 * factor)
            return self._resized(image, [side / times for side in image.shape[:2]], rng)
        # a Gaussian around the middle of each cell of `factor` x `factor` pixels, whose
        # first pixel is then taken
        sigma = rng.uniform(0.1, 0.6 * factor)
        middle = (factor - 1) / 2
        reach = math.ceil(3 * sigma + middle)
        line = np.exp(-0.5 * ((np.arange(-reach, reach + 1) - middle) / sigma) ** 2)
        line /= line.sum()
        x = cv2.sepFilter2D(
            np.float32(image), -1, line, line, borderType=cv2.BORDER_REPLICATE
        )
        x = x.reshape(image.shape)[::factor, ::factor]
        return cast(np.ascontiguousarray(x), image.dtype)
