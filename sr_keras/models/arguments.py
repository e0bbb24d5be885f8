"""Checks of the arguments that all builders share."""

import numbers


def check_length(name, values, length):
    """Raises a ValueError if there are not as many values as a network has layers."""
    if len(values) != length:
        raise ValueError(f"`{name}` must be {length} numbers. Received: {values}")


def check_counts(**counts):
    """Raises a ValueError if one is not a whole number from 1, or several of them."""
    for name, value in counts.items():
        several = isinstance(value, (tuple, list))
        if not (value and all(map(_is_count, value)) if several else _is_count(value)):
            kind = "whole numbers" if several else "a whole number"
            raise ValueError(f"`{name}` must be {kind} from 1. Received: {value}")


def check_scale(scale, allowed=None):
    """Returns `scale`, or raises a ValueError that says which ones are allowed."""
    if allowed is None:
        if not _is_count(scale):
            raise ValueError(
                f"`scale` must be a whole number from 1. Received: {scale}"
            )
    elif not _is_count(scale) or scale not in allowed:
        *most, last = map(str, allowed)
        names = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"`scale` must be {names}. Received: {scale}")
    return int(scale)


def _is_count(value):
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and value >= 1
