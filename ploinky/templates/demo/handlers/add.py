"""The command `add`."""

import math


def handle(params):
    """Add numbers, also those sent as texts. Safe to repeat."""
    total = sum(number_of(param) for param in params)
    if not math.isfinite(total):
        raise ValueError("the sum is not a finite number")
    return total


def number_of(param):
    """Give a param as a number. Raises: ValueError naming the param."""
    if isinstance(param, (int, float)) and not isinstance(param, bool):
        return param
    for kind in (int, float):
        try:
            return kind(str(param))
        except ValueError:
            continue
    raise ValueError(f"{param!r} is not a number")
