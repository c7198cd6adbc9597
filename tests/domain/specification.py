"""Given events, when a command, then events: how the tests of the rules are written."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ploinky.domain import commands as c
from ploinky.domain.decider import Attached, Decision, Repeated
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.errors import PloinkyError
from ploinky.domain.events import Event
from ploinky.domain.ids import split_stream, stream_name
from ploinky.domain.indexes import Indexes

START = datetime(2026, 1, 1, tzinfo=UTC)

Past = Sequence[tuple[str, Event] | datetime]
"""What happened, as `(stream, event)`; an instant between two events moves the clock there."""

WISHES_ANEW = (c.UpdateDeployment, c.RollBack, c.RecordExec)
"""Commands whose repetition is a wish of its own."""


def events_of(decision: Decision) -> list[Event]:
    """Return a decision's events without their payloads."""
    if isinstance(decision, Repeated):
        return []
    return [item.event if isinstance(item, Attached) else item for item in decision]


class World:
    """All aggregates and the indexes, kept as the dispatcher keeps them, without a journal."""

    def __init__(self, past: Past = ()) -> None:
        self.indexes = Indexes()
        self.indexes.now = START
        self.states: dict[str, Any] = {}
        self.history: list[tuple[str, Event]] = []
        self.moments: list[datetime] = []
        """When each event of the history happened."""
        for item in past:
            if isinstance(item, datetime):
                self.indexes.now = item
            else:
                self.record(*item)

    def state(self, stream: str) -> Any:
        kind, _ = split_stream(stream)
        return self.states.get(stream, DECIDERS[kind].initial)

    def record(self, stream: str, event: Event) -> None:
        kind, subject_id = split_stream(stream)
        self.states[stream] = DECIDERS[kind].evolve(self.state(stream), event)
        self.indexes.apply(subject_id, event)
        self.history.append((stream, event))
        self.moments.append(self.indexes.now)

    def decide(self, command: c.Command) -> Decision:
        state = self.state(stream_name(command.KIND, command.subject_id))
        return DECIDERS[command.KIND].decide(command, state, self.indexes)

    def execute(self, command: c.Command) -> list[Event]:
        """Decide and record; return the new events."""
        events = events_of(self.decide(command))
        for event in events:
            self.record(stream_name(command.KIND, command.subject_id), event)
        return events


class Outcome:
    """What became of one command."""

    def __init__(self, world: World, command: c.Command) -> None:
        self.world, self.command = world, command
        self.refusal: PloinkyError | None = None
        self.decision: Decision = []
        try:
            self.decision = world.decide(command)
        except PloinkyError as refusal:
            self.refusal = refusal

    def then(self, *events: Event) -> World:
        """Expect exactly these events; return the world they lead to."""
        assert self.refusal is None, repr(self.refusal)
        assert events_of(self.decision) == list(events)
        return self.accepted()

    def then_types(self, *types: type[Event]) -> World:
        """Expect events of exactly these types; return the world they lead to."""
        assert self.refusal is None, repr(self.refusal)
        assert [type(event) for event in events_of(self.decision)] == list(types)
        return self.accepted()

    def then_nothing(self) -> None:
        assert self.refusal is None, repr(self.refusal)
        assert self.decision == []

    def then_repeated(self, subject_id: str) -> None:
        assert self.refusal is None, repr(self.refusal)
        assert self.decision == Repeated(subject_id)

    def then_refused(self, error: type[PloinkyError], code: str = "") -> PloinkyError:
        assert type(self.refusal) is error, f"{self.refusal!r} {self.decision!r}"
        assert self.refusal.code == (code or error.code)
        return self.refusal

    def accepted(self) -> World:
        """Record the decision, and hold that the same command decides nothing a second time."""
        for event in events_of(self.decision):
            self.world.record(stream_name(self.command.KIND, self.command.subject_id), event)
        if not isinstance(self.command, WISHES_ANEW):
            assert not decides_again(self.world, self.command), "a repetition is refused or decides nothing"
        return self.world


def decides_again(world: World, command: c.Command) -> bool:
    try:
        return bool(events_of(world.decide(command)))
    except PloinkyError:
        return False


class Given:
    def __init__(self, past: Past) -> None:
        self.world = World(past)

    def at(self, now: datetime) -> "Given":
        self.world.indexes.now = now
        return self

    def when(self, command: c.Command) -> Outcome:
        return Outcome(self.world, command)


def given(past: Past = ()) -> Given:
    """Begin with what happened before."""
    return Given(past)
