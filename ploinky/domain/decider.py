"""The shape every aggregate has: an initial state, what may happen, and what it changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ploinky.domain.commands import Command
from ploinky.domain.events import Event
from ploinky.domain.indexes import Indexes
from ploinky.domain.payload import Payload


class Attached(NamedTuple):
    """An event together with the payloads that its references describe."""

    event: Event
    payloads: Mapping[str, Payload]


class Repeated(NamedTuple):
    """The decision that a command was accepted before: nothing happens, and the answer names the earlier subject."""

    subject_id: str


Decision = Sequence[Event | Attached] | Repeated


class Decider(NamedTuple):
    """One aggregate's rules.

    `decide` raises `ploinky.domain.errors.PloinkyError` to refuse; an empty decision means "already so". `evolve` never
    refuses: what happened, happened.
    """

    kind: str
    """The first part of the stream's name."""
    initial: Any
    decide: Callable[[Any, Any, Indexes], Decision]
    """`(command, state, indexes) -> decision`."""
    evolve: Callable[[Any, Event], Any]
    """`(state, event) -> state`; states are immutable."""


def refuse_unknown(command: Command) -> Decision:
    """Refuse a command that was routed to the wrong aggregate: a defect, not a user's mistake."""
    raise TypeError(f"{type(command).__name__} is not decided here")
