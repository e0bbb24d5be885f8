"""Checks of the arguments that all builders share."""


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
