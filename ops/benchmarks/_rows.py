"""How the benchmarks print what they measured."""

import statistics
from collections.abc import Sequence

NAME_CHARACTERS = 34


def print_head(title: str) -> None:
    """Print the names of the columns."""
    print(f"{title:<{NAME_CHARACTERS}}{'min':>9}{'median':>9}{'max':>9}")


def print_row(name: str, values: Sequence[float], form: str, remark: str = "") -> None:
    """Print minimum, median and maximum."""
    shown = "".join(f"{value:>9{form}}" for value in (min(values), statistics.median(values), max(values)))
    print(f"{name:<{NAME_CHARACTERS}}{shown}   {remark}".rstrip())
