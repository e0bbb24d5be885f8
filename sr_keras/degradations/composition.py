"""Degradations made of other degradations."""

import dataclasses
import math
import numbers

from sr_keras.degradations.base import (
    Degradation,
    check_degradation,
    check_odds,
    choose,
    cut,
    register,
)


@register
@dataclasses.dataclass(frozen=True)
class Sometimes(Degradation):
    """Applies a degradation with a given probability.

    Args:
        probability: Probability of each image to be degraded, in [0, 1].
        degradation: A degradation of scale 1.

    Raises:
        ValueError: If an argument is not supported.
    """

    probability: float
    degradation: Degradation
    is_random = True

    def __post_init__(self):
        check_degradation("degradation", self.degradation)
        is_number = isinstance(self.probability, numbers.Real)
        if not is_number or not 0 <= self.probability <= 1:
            raise ValueError(
                "`probability` must be a number in [0, 1]. Received:"
                f" probability={self.probability!r}"
            )
        if self.degradation.scale != 1:
            raise ValueError(
                "`degradation` must keep the size of images. Received:"
                f" degradation={self.degradation}"
            )

    @property
    def margin(self):
        return self.degradation.margin

    @property
    def is_equivariant(self):
        return self.degradation.is_equivariant

    def _degrade(self, image, rng):
        if rng.random() >= self.probability:
            return image
        return self.degradation._degrade(image, rng)


@register
@dataclasses.dataclass(frozen=True)
class OneOf(Degradation):
    """Applies one of several degradations, drawn for each image.

    Args:
        choices: Degradations of the same scale.
        odds: How often each is drawn, relative to the others; None for equally often.

    Raises:
        ValueError: If there are no choices, their scales differ, or `odds` does not
            have a number for each.
    """

    choices: tuple
    odds: tuple | None = None
    is_random = True

    def __post_init__(self):
        object.__setattr__(self, "choices", tuple(self.choices))
        for choice in self.choices:
            check_degradation("choices", choice)
        if len({choice.scale for choice in self.choices}) != 1:
            raise ValueError(
                "`choices` must be one or more degradations of the same scale."
                f" Received: choices={self.choices}"
            )
        if self.odds is not None:
            object.__setattr__(self, "odds", tuple(self.odds))
            check_odds("odds", self.odds, len(self.choices))

    @property
    def scale(self):
        return self.choices[0].scale

    @property
    def margin(self):
        return max(choice.margin for choice in self.choices)

    @property
    def is_equivariant(self):
        return all(choice.is_equivariant for choice in self.choices)

    def _degrade(self, image, rng):
        return choose(self.choices, self.odds, rng)._degrade(image, rng)

    def _degrade_patch(self, window, margin, rng):
        choice = choose(self.choices, self.odds, rng)
        return choice._degrade_patch(window, margin, rng)


@register
@dataclasses.dataclass(frozen=True)
class Compose(Degradation):
    """Applies degradations one after the other.

    Args:
        steps: Degradations.
        shuffle: Whether to draw a random order for each image.

    Raises:
        ValueError: If a step is not a degradation.
    """

    steps: tuple
    shuffle: bool = False

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            check_degradation("steps", step)

    @property
    def scale(self):
        return math.prod(step.scale for step in self.steps)

    @property
    def margin(self):
        if not self.shuffle:
            return margin_of(self.steps)
        # in the worst case, all other steps that shrink come before a step
        return sum(step.margin * (self.scale // step.scale) for step in self.steps)

    @property
    def is_random(self):
        return self.shuffle or any(step.is_random for step in self.steps)

    @property
    def is_equivariant(self):
        return all(step.is_equivariant for step in self.steps)

    def _order(self, rng):
        if not self.shuffle:
            return self.steps
        return [self.steps[i] for i in rng.permutation(len(self.steps))]

    def _degrade(self, image, rng):
        for step in self._order(rng):
            image = step._degrade(image, rng)
        return image

    def _degrade_patch(self, window, margin, rng):
        """Cuts the margin as soon as the steps that are left do not need it."""
        steps = self._order(rng)
        for i, step in enumerate(steps):
            left = math.prod(later.scale for later in steps[i:])
            needed = -(-margin_of(steps[i:]) // left) * left
            if needed < margin:
                window, margin = cut(window, margin - needed), needed
            window = step._degrade(window, rng)
            margin //= step.scale
        return cut(window, margin)


def margin_of(steps):
    """Returns the margin of steps in this order."""
    margin, shrunk = 0, 1
    for step in steps:
        margin += step.margin * shrunk
        shrunk *= step.scale
    return margin
