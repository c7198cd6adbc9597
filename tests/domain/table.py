"""State tables written as text: a row per command, a column per state."""

from collections.abc import Mapping
from typing import Any

import pytest

from ploinky.domain.errors import PloinkyError
from ploinky.domain.events import Event
from tests.domain.specification import Outcome

NOTHING = "."

Expectation = type[PloinkyError] | tuple[type[Event], ...]


def cells(table: str) -> list[Any]:
    """Return one case per cell: `(command, state, expected word)`."""
    header, *rows = (line.split() for line in table.strip().splitlines())
    return [
        pytest.param(command, state, word, id=f"{command}-{state}")
        for command, *row in rows
        for state, word in zip(header, row, strict=True)
    ]


def check(outcome: Outcome, word: str, legend: Mapping[str, Expectation]) -> None:
    """Hold an outcome against a cell: nothing, a refusal, or events."""
    if word == NOTHING:
        outcome.then_nothing()
        return
    expected = legend[word]
    if isinstance(expected, tuple):
        outcome.then_types(*expected)
    else:
        outcome.then_refused(expected)
