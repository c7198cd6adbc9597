"""A view whose rows are the states of one kind of aggregate."""

from collections.abc import Callable, ItemsView, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from ploinky.domain.decider import Decider
from ploinky.journal.codec import Recorded

State = TypeVar("State")


class Row(msgspec.Struct, Generic[State], kw_only=True):
    """One aggregate as of its newest committed event."""

    state: State
    version: int
    created_position: int
    created_at: datetime
    created_by: str
    changed_position: int
    changed_at: datetime


class RowsView(Generic[State]):
    """Fold one kind of aggregate into rows by id."""

    def __init__(self, decider: Decider, is_over: Callable[[State], bool]) -> None:
        """Keep a row until `is_over` says that nothing further matters."""
        self._decider = decider
        self._is_over = is_over
        self.kind = decider.kind
        self.rows: dict[str, Row[State]] = {}

    def apply(self, recorded: Recorded) -> Row[State] | None:
        """Fold one event of this kind; return its row, also when it was the last event of it."""
        row = self.rows.get(recorded.subject_id)
        if row is None:
            row = Row(
                state=self._decider.evolve(self._decider.initial, recorded.event),
                version=recorded.version,
                created_position=recorded.position,
                created_at=recorded.at,
                created_by=recorded.actor,
                changed_position=recorded.position,
                changed_at=recorded.at,
            )
            self.rows[recorded.subject_id] = row
        else:
            row.state = self._decider.evolve(row.state, recorded.event)
            row.version = recorded.version
            row.changed_position = recorded.position
            row.changed_at = recorded.at
        if self._is_over(row.state):
            self.rows.pop(recorded.subject_id, None)
        return row

    def get(self, subject_id: str) -> State | None:
        """Return an aggregate's state, or None when there is no row."""
        row = self.rows.get(subject_id)
        return row.state if row else None

    def items(self) -> ItemsView[str, Row[State]]:
        """Return ids with rows, in the order of their creation."""
        return self.rows.items()

    def dump(self) -> Any:
        """Return what a snapshot keeps."""
        return self.rows

    def load(self, raw: msgspec.Raw) -> None:
        """Take a snapshot's rows, whatever order they were written in."""
        state_type = type(self._decider.initial)
        row_type: Any = Row[state_type]  # type: ignore[valid-type]
        rows: Mapping[str, Row[State]] = msgspec.json.decode(raw, type=dict[str, row_type])
        self.rows = dict(sorted(rows.items(), key=lambda item: item[1].created_position))
