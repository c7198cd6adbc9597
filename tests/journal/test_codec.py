"""What was written once can be read for ever, and comes out of the codec as it went in."""

import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ploinky.domain import events as e
from ploinky.domain.errors import Invalid, JournalCorrupt, JournalNewer
from ploinky.domain.payload import PayloadReference
from ploinky.domain.specs import Release
from ploinky.journal.codec import (
    EVENT_TYPES,
    NO_PAYLOADS,
    Codec,
    Recorded,
    Upcaster,
    from_microseconds,
    to_microseconds,
)
from ploinky.ports.journal_store import Record
from tests.journal.golden_events import SAMPLES

GOLDEN = Path(__file__).parent / "golden"


def record(type: str, data: bytes, schema: int = 1, position: int = 7) -> Record:
    return Record(position, "task/t1", 3, type, schema, 1_000_001, "key:k1", "request-1", 5, 1, data, bytes(32))


def golden(type: str, schema: int) -> bytes:
    return (GOLDEN / f"{type}.{schema}.json").read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize(("type", "schema"), sorted(SAMPLES), ids=str)
def test_reads_a_golden_sample_as_it_was_meant(type: str, schema: int) -> None:
    """The bytes of each type and schema still mean what they meant when they were written."""
    assert Codec().decode(record(type, golden(type, schema), schema)) == SAMPLES[type, schema]


@pytest.mark.parametrize("type", sorted(EVENT_TYPES))
def test_writes_the_newest_golden_sample(type: str) -> None:
    """Each type has a sample of its newest schema, and is written with exactly those bytes."""
    schema = EVENT_TYPES[type].SCHEMA
    assert Codec().encode(SAMPLES[type, schema]) == golden(type, schema)


def test_every_golden_file_is_tested() -> None:
    """No sample lies there without a value to compare it with, and none is missing."""
    assert {path.name for path in GOLDEN.iterdir()} == {"{}.{}.json".format(*key) for key in SAMPLES}


def test_every_sample_fills_every_field() -> None:
    """A sample shows each field's spelling: none is left to its default, so none is left out of the bytes."""
    for sample in SAMPLES.values():
        for field in sample.__struct_fields__:
            assert f'"{field}":'.encode() in golden(sample.TYPE, sample.SCHEMA), (sample.TYPE, field)


SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    # NaN and infinities are no JSON; the deciders refuse them before they come here.
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
    dict[str, str]: st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Make any value of a field's type."""
    if annotation in SCALARS:
        return SCALARS[annotation]
    if typing.get_origin(annotation) is tuple:
        return st.lists(values_of(typing.get_args(annotation)[0]), max_size=3).map(tuple)
    if typing.get_args(annotation):
        return st.one_of(*(values_of(part) for part in typing.get_args(annotation)))
    if issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    hints = typing.get_type_hints(annotation)
    return st.builds(annotation, **{name: values_of(hints[name]) for name in annotation.__struct_fields__})


@pytest.mark.parametrize("type", sorted(EVENT_TYPES))
def test_decodes_what_it_encoded(type: str) -> None:
    """Every event of every class comes back equal."""
    codec = Codec()

    @settings(max_examples=25)
    @given(values_of(EVENT_TYPES[type]))
    def round_trip(event: e.Event) -> None:
        assert codec.decode(record(type, codec.encode(event), event.SCHEMA)) == event

    round_trip()


class Grown(e.Event, frozen=True, kw_only=True):
    """An event on its third schema: `seconds` was once `minutes`, then a text."""

    TYPE = "thing.grown"
    SCHEMA = 3
    seconds: int
    reason: str = "unknown"


def to_text(document: dict[str, Any]) -> dict[str, Any]:
    return {"seconds": str(document["minutes"] * 60)}


def to_number(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "seconds": int(document["seconds"])}


def grown_codec(upcasters: Mapping[tuple[str, int], Upcaster] | None = None) -> Codec:
    every = {("thing.grown", 1): to_text, ("thing.grown", 2): to_number}
    return Codec({"thing.grown": Grown}, every if upcasters is None else upcasters)


@pytest.mark.parametrize(
    ("schema", "document"), [(1, b'{"minutes":2}'), (2, b'{"seconds":"120"}'), (3, b'{"seconds":120}')]
)
def test_lifts_older_schemas_step_by_step(schema: int, document: bytes) -> None:
    """Data of the first schema pass through both upcasters, of the second through one, of the third through none."""
    assert grown_codec().decode(record("thing.grown", document, schema)) == Grown(seconds=120)


def test_needs_no_upcaster_where_a_default_will_do() -> None:
    """A schema that only added a field with a default is lifted without anybody's help."""
    codec = grown_codec({})
    assert codec.decode(record("thing.grown", b'{"seconds":5}', 1)) == Grown(seconds=5, reason="unknown")


def test_lifted_data_are_checked() -> None:
    """What upcasting made of damaged data is no event either."""
    with pytest.raises(JournalCorrupt, match="position 7"):
        grown_codec().decode(record("thing.grown", b'{"seconds":"5","reason":1}', 2))


def test_refuses_a_newer_schema() -> None:
    """Data of a schema that a later version wrote are not guessed at."""
    with pytest.raises(JournalNewer, match="schema 4"):
        grown_codec().decode(record("thing.grown", b"{}", 4))


def test_refuses_an_unknown_type() -> None:
    """An event that may matter stops the start."""
    with pytest.raises(JournalNewer, match=r"thing\.shrunk at position 7"):
        Codec().decode(record("thing.shrunk", b"{}"))


def test_skips_an_unknown_type_that_may_be_skipped() -> None:
    """A type with a question mark changes nothing that an older reader knows."""
    codec = Codec()
    assert codec.decode(record("thing.noticed?", b"not even JSON")) is None
    assert codec.recorded(record("thing.noticed?", b"{}")) is None


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b"null", b'{"attempt":"one"}', b"{}", b'{"attempt":1.5}', b'{"attempt":1}x', b'{"a":"\xff"}'],
)
def test_says_where_data_are_damaged(document: bytes) -> None:
    """Data that do not fit their type are damage, named with their place."""
    with pytest.raises(JournalCorrupt, match=r"task\.claimed at position 7"):
        Codec().decode(record("task.claimed", document))


@pytest.mark.parametrize(("schema", "document"), [(1, b'{"minutes":"\xff"}'), (1, b"[1]"), (2, b"{")])
def test_says_where_older_data_are_damaged(schema: int, document: bytes) -> None:
    """Data that cannot even be handed to an upcaster are damage, too."""
    with pytest.raises(JournalCorrupt, match="position 7"):
        grown_codec().decode(record("thing.grown", document, schema))


def test_ignores_fields_of_a_later_version() -> None:
    """A field that only adds something is no obstacle: within a schema, a reader takes what it knows."""
    assert Codec().decode(record("task.claimed", b'{"attempt":1,"mood":"good"}')) == e.TaskClaimed(attempt=1)


def test_refuses_what_cannot_be_written() -> None:
    """A text that has no UTF-8 form is refused as the caller's mistake."""
    with pytest.raises(Invalid, match="cannot be recorded"):
        Codec().encode(e.TaskDead(code="X", message="\ud800"))


def test_gives_an_event_its_envelope() -> None:
    """Who, when, where and why come out of the record's columns."""
    recorded = Codec().recorded(record("task.claimed", b'{"attempt":2}'))
    at = datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)
    claimed = e.TaskClaimed(attempt=2)
    assert recorded == Recorded(7, "task", "t1", 3, at, "key:k1", "request-1", 5, claimed, NO_PAYLOADS)


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_keeps_time_to_the_microsecond(at: datetime) -> None:
    """An instant survives the journal's unit exactly: no floating point is on the way."""
    assert from_microseconds(to_microseconds(at)) == at


def test_writes_the_same_bytes_for_equal_events() -> None:
    """Nothing of how an event came about shows in its bytes, so hashes can be compared."""
    first = e.SourceFetched(generation=1, release=Release(commit="c", warnings=("a",)))
    second = e.SourceFetched(release=Release(warnings=("a",), commit="c"), generation=1, is_from_cache=False)
    assert Codec().encode(first) == Codec().encode(second)
    assert Codec().encode(e.TaskSucceeded(attempt=1, result=PayloadReference(1, "d"))) == (
        b'{"attempt":1,"result":{"payload_bytes":1,"digest":"d"}}'
    )
