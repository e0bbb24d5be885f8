"""Degradations that change the size of an image."""

import dataclasses
import math

import numpy as np

from sr_keras import images as pixels
from sr_keras.checks import check_scale
from sr_keras.degradations.base import (
    Degradation,
    check_choice,
    check_degradation,
    check_strength,
    register,
)


@register
@dataclasses.dataclass(frozen=True)
class Downscale(Degradation):
    """Makes images `scale` times smaller.

    "bicubic" on integer images reproduces the LR files of the benchmark sets exactly.
    Floats are not clipped, because bicubic interpolation overshoots at edges. Pixels at
    the bottom and the right that do not fill a whole LR pixel are ignored.

    Args:
        scale: A positive integer.
        method: "bicubic", antialiased as in MATLAB's `imresize`; "bilinear",
            antialiased; "area", the mean of `scale x scale` pixels; "nearest", the
            middle one of them; or "drop", the first one of them.
        border: How images continue beyond their border: "replicate", as in the MATLAB
            version that made the benchmark sets, or "symmetric", as in newer ones.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """

    scale: int = dataclasses.field()  # hides the default of the base class
    method: str = "bicubic"
    border: str = "replicate"

    METHODS = ("bicubic", "bilinear", "area", "nearest", "drop")

    def __post_init__(self):
        object.__setattr__(self, "scale", check_scale(self.scale))
        check_choice("method", self.method, self.METHODS)
        check_choice("border", self.border, pixels.BORDERS)

    @property
    def margin(self):
        return 2 * self.scale

    @property
    def is_equivariant(self):
        if self.method == "drop":
            return self.scale == 1
        return self.method != "nearest" or self.scale % 2 == 1

    def _degrade(self, image, rng):
        scale = self.scale
        if scale == 1:
            return image
        height, width = (side // scale for side in image.shape[:2])
        image = image[: height * scale, : width * scale]
        if self.method in ("nearest", "drop"):
            first = scale // 2 if self.method == "nearest" else 0
            return np.ascontiguousarray(image[first::scale, first::scale])
        return pixels.resize(image, (height, width), self.method, self.border)


@register
@dataclasses.dataclass(frozen=True)
class RandomResize(Degradation):
    """Resizes by a random factor, applies steps at that size, and then downscales.

    The image is resized to `factor` times its size, degraded by `steps`, and resized to
    `1 / scale` of its original size. Both resizes are antialiased and each draws its
    method at random. This is the resizing of BSRGAN and Real-ESRGAN. The margin around
    a patch grows with the inverse of the smallest factor.

    Args:
        scale: Factor by which images shrink in total; 1 to keep their size.
        factor: Intermediate size relative to the original: a number or a pair (low,
            high), from which the logarithm is drawn uniformly.
        steps: Degradations of scale 1 for the intermediate image.
        methods: Methods of `images.resize` to draw from.

    Raises:
        ValueError: If an argument is not supported.

    Reference:
        [Zhang et al., 2021](https://arxiv.org/abs/2103.14006),
        [Wang et al., 2021](https://arxiv.org/abs/2107.10833)
    """

    scale: int = dataclasses.field()
    factor: float | tuple = (0.5, 1.2)
    steps: tuple = ()
    methods: tuple = ("bicubic", "bilinear", "area")
    is_random = True

    def __post_init__(self):
        object.__setattr__(self, "scale", check_scale(self.scale))
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "methods", tuple(self.methods))
        check_strength("factor", self.factor, 0.05, 4)
        for step in self.steps:
            check_degradation("steps", step)
            if step.scale != 1:
                raise ValueError(
                    f"`steps` must keep the size of images. Received: {step}"
                )
        for method in self.methods:
            check_choice("methods", method, ("bicubic", "bilinear", "area"))
        if not self.methods:
            raise ValueError("`methods` must not be empty. Received: methods=()")

    @property
    def margin(self):
        lowest = min(self.factor) if isinstance(self.factor, tuple) else self.factor
        # the support of both kernels, and a pixel for sizes that are rounded
        inside = 3 + sum(step.margin for step in self.steps)
        return math.ceil(inside / min(lowest, 1)) + 2 * self.scale + 1

    @property
    def is_equivariant(self):
        return all(step.is_equivariant for step in self.steps)

    def _degrade(self, image, rng):
        size = tuple(side // self.scale for side in image.shape[:2])
        image = image[: size[0] * self.scale, : size[1] * self.scale]
        low, high = np.log(self.factor) * np.ones(2)
        factor = math.exp(rng.uniform(low, high))
        between = tuple(max(round(factor * side), 1) for side in image.shape[:2])
        image = pixels.resize(image, between, rng.choice(self.methods))
        for step in self.steps:
            image = step._degrade(image, rng)
        return pixels.resize(image, size, rng.choice(self.methods))
