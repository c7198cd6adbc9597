"""Events to bytes and back: written once in the newest schema, lifted to it on read."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from ploinky.domain import events
from ploinky.domain.errors import Invalid, JournalCorrupt, JournalNewer
from ploinky.domain.events import Event
from ploinky.domain.ids import split_stream
from ploinky.domain.payload import Payload
from ploinky.ports.journal_store import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IGNORABLE_SUFFIX = "?"

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Lifts the data of one schema version to the next; pure."""

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""By type and the version lifted *from*. Add to it when a schema grows in a way that a default cannot express."""

NO_PAYLOADS: Mapping[str, Payload] = {}


class Recorded(NamedTuple):
    """An event with what the journal knows of it."""

    position: int
    kind: str
    subject_id: str
    version: int
    at: datetime
    actor: str
    correlation: str
    causation: int
    event: Event
    payloads: Mapping[str, Payload]
    """Those of a just committed event; empty when it was read back, as `JournalStore.payload` has them then."""


def to_microseconds(at: datetime) -> int:
    """Convert aware UTC to the journal's unit."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_microseconds(at: int) -> datetime:
    """Convert the journal's unit to aware UTC."""
    return EPOCH + timedelta(microseconds=at)


class Codec:
    """Encode and decode with a fixed set of event types."""

    def __init__(
        self,
        types: Mapping[str, type[Event]] | None = None,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        """Take the known types; all of `ploinky.domain.events` by default."""
        self.types = dict(types if types is not None else EVENT_TYPES)
        self._upcasters = upcasters
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._decoders = {name: msgspec.json.Decoder(event_class) for name, event_class in self.types.items()}

    def encode(self, event: Event) -> bytes:
        """Return the bytes that are stored and hashed. Raises `Invalid` for what JSON cannot express."""
        try:
            return self._encode(event)
        except (TypeError, ValueError, OverflowError) as error:
            raise Invalid(f"{event.TYPE} cannot be recorded: {error}") from error

    def decode(self, record: Record) -> Event | None:
        """Return a record's event in its newest schema; None for an unknown type that may be skipped.

        Raises `JournalNewer` for an unknown type or schema, `JournalCorrupt` for data that do not fit.
        """
        event_class = self.types.get(record.type)
        if event_class is None:
            if record.type.endswith(IGNORABLE_SUFFIX):
                return None
            raise JournalNewer(f"Unknown event type {record.type} at position {record.position}")
        if record.schema > event_class.SCHEMA:
            raise JournalNewer(f"{record.type} at position {record.position} has the unknown schema {record.schema}")
        try:
            if record.schema == event_class.SCHEMA:
                return self._decoders[record.type].decode(record.data)
            return msgspec.convert(self._lift(record, event_class.SCHEMA), event_class)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise JournalCorrupt(f"{record.type} at position {record.position} cannot be read: {error}") from error

    def _lift(self, record: Record, newest: int) -> dict[str, Any]:
        data = msgspec.json.decode(record.data, type=dict[str, Any])
        for schema in range(record.schema, newest):
            data = self._upcasters.get((record.type, schema), _unchanged)(data)
        return data

    def recorded(self, record: Record) -> Recorded | None:
        """Decode a record with its envelope; None when its event may be skipped."""
        event = self.decode(record)
        if event is None:
            return None
        kind, subject_id = split_stream(record.stream)
        return Recorded(
            record.position,
            kind,
            subject_id,
            record.version,
            from_microseconds(record.at),
            record.actor,
            record.correlation,
            record.causation,
            event,
            NO_PAYLOADS,
        )


def _unchanged(data: dict[str, Any]) -> dict[str, Any]:
    return data


EVENT_TYPES: Mapping[str, type[Event]] = {
    value.TYPE: value
    for value in vars(events).values()
    if isinstance(value, type) and issubclass(value, Event) and value is not Event
}
