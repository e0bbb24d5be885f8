"""Checks of the arguments that all builders share."""


def check_length(name, values, length):
    """Raises a ValueError if there are not as many values as a network has layers."""
    if len(values) != length:
        raise ValueError(f"`{name}` must be {length} numbers. Received: {values}")


def check_count(name, value, multiple=1):
    """Raises a ValueError if a number is not a positive multiple of another."""
    if value < 1 or value % multiple:
        kind = "at least 1" if multiple == 1 else f"a positive multiple of {multiple}"
        raise ValueError(f"`{name}` must be {kind}. Received: {value}")


def check_scale(scale, allowed=None):
    """Returns `scale`, or raises a ValueError that says which ones are allowed."""
    if allowed is None:
        if not isinstance(scale, int) or scale < 1:
            raise ValueError(
                f"`scale` must be a whole number from 1. Received: {scale}"
            )
    elif scale not in allowed:
        *most, last = map(str, allowed)
        names = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"`scale` must be {names}. Received: {scale}")
    return scale
