"""Checks of arguments that several modules share."""

import difflib
import math
import numbers
import sys


def is_count(value):
    """Returns True if a value is a positive integer of Python or NumPy."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_integer and value >= 1


def check_counts(**counts):
    """Raises a ValueError unless each value is a positive integer.

    Args:
        **counts: Names of arguments and their values.
    """
    for name, value in counts.items():
        if not is_count(value):
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value!r}"
            )


def check_count_lists(length=None, **lists):
    """Raises a ValueError unless each value is a list or tuple of positive integers.

    Args:
        length: Number of integers that each list must have; None for one or more.
        **lists: Names of arguments and their values.
    """
    for name, values in lists.items():
        is_list = isinstance(values, (list, tuple)) and all(map(is_count, values))
        if not is_list or not values or length not in (None, len(values)):
            number = "" if length is None else f"{length} "
            raise ValueError(
                f"`{name}` must be a list of {number}positive integers. Received:"
                f" {name}={values!r}"
            )


def check_numbers(**values):
    """Raises a ValueError unless each value is a finite real number."""
    for name, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError(
                f"`{name}` must be a finite number. Received: {name}={value!r}"
            )


def check_flags(**flags):
    """Raises a ValueError unless each value is True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"`{name}` must be a bool. Received: {name}={value!r}")


def check_option(name, value, allowed):
    """Raises a ValueError that suggests the nearest, unless a value is allowed.

    Args:
        name: Name of the argument.
        value: Its value.
        allowed: All strings that are valid, at least two.
    """
    if value not in allowed:
        *most, last = (f'"{option}"' for option in allowed)
        hint = _suggestion(value, allowed)
        raise ValueError(
            f"`{name}` must be {', '.join(most)} or {last}. Received:"
            f" {name}={value!r}{f'.{hint}' if hint else ''}"
        )


def check_scale(scale, allowed=None):
    """Checks an upscaling factor.

    Args:
        scale: The factor.
        allowed: The factors that are supported; None for all positive integers.

    Returns:
        `scale` as an int of Python.

    Raises:
        ValueError: If the factor is not supported.
    """
    if allowed is None:
        check_counts(scale=scale)
    elif not is_count(scale) or scale not in allowed:
        *most, last = map(str, allowed)
        names = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"`scale` must be {names}. Received: scale={scale!r}")
    return int(scale)


def check_name(kind, name, known):
    """Raises a ValueError that suggests the nearest names, if a name is not known.

    Args:
        kind: What is named, with an article, such as "a network".
        name: The name.
        known: All names that are valid.
    """
    known = list(map(str, known))
    if name in known:
        return
    raise ValueError(
        f"{name!r} is not the name of {kind}.{_suggestion(name, known)} Available:"
        f" {', '.join(known) or 'none'}"
    )


def _suggestion(name, known):
    near = difflib.get_close_matches(str(name), known, n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def is_reference(name):
    """Returns True if a name has the form `"module:function"`."""
    return isinstance(name, str) and ":" in name and "/" not in name


def find_imported(kind, reference):
    """Returns what `"module:name"` stands for, in a module that has been imported.

    A module is never imported here: recipes and weights files may come from somebody
    else.

    Args:
        kind: What is named, with an article, such as "a network".
        reference: The module and the name in it.

    Raises:
        ValueError: If the module has not been imported, or has no such name.
    """
    module, _, name = reference.partition(":")
    if module not in sys.modules:
        raise ValueError(
            f"{reference!r} names {kind} of the module {module}, which has not been"
            f" imported. Import it first (on the command line: --import {module})."
        )
    try:
        return getattr(sys.modules[module], name)
    except AttributeError as error:
        raise ValueError(f"The module {module} has no {name!r}.") from error
