"""The hash chain: a layout that never changes, and a check that names what is wrong."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import JournalCorrupt
from ploinky.journal.chain import GENESIS, record_hash, verify
from ploinky.ports.journal_store import GENESIS_HASH, Head, Record
from tests.journal.records import Draft, chained, numbered

GOLDEN_COLUMNS = (
    7,
    "task/0123456789abcdefghij",
    3,
    "task.succeeded",
    2,
    1_763_900_000_123_456,
    "key/ünïcode",
    "request-9",
    5,
    4,
    b'{"size":12}',
)
GOLDEN_HASH = "8d9a482be17e26f753fc7f4464caaf6ae68d8647f99396c160960ab962ec18b5"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(min_value=0, max_value=2**63 - 1)
COLUMNS = st.tuples(
    NUMBERS, TEXTS, NUMBERS, TEXTS, NUMBERS, NUMBERS, TEXTS, TEXTS, NUMBERS, NUMBERS, st.binary(max_size=40)
)
DRAFTS = st.lists(st.tuples(st.sampled_from(["task/a", "task/b", "deployment/c"]), st.binary(max_size=10)), max_size=12)

Change = Callable[[list[Record]], list[Record]]

HEAD = Head(position=0, hash=GENESIS_HASH, epoch=1)


def journal_of(drafts: list[tuple[str, bytes]]) -> list[Record]:
    """Return records with the versions that belong to their streams."""
    versions: dict[str, int] = {}
    complete = []
    for stream, data in drafts:
        versions[stream] = versions.get(stream, 0) + 1
        complete.append(Draft(stream, versions[stream], data))
    return chained(HEAD, complete)


def head_of(records: list[Record]) -> Head:
    return Head(records[-1].position, records[-1].hash, 1) if records else HEAD


def test_layout_never_changes() -> None:
    """The golden record has the golden hash, for ever."""
    assert record_hash(bytes(range(32)), *GOLDEN_COLUMNS).hex() == GOLDEN_HASH


def test_layout_is_as_documented() -> None:
    """Putting the bytes together by hand, as the module's text says, gives the same hash."""
    position, stream, version, type_, schema, at, actor, correlation, causation, epoch, data = GOLDEN_COLUMNS
    texts = [stream.encode(), type_.encode(), actor.encode(), correlation.encode(), data]
    numbers = [position, version, schema, at, causation, epoch, *map(len, texts)]
    by_hand = bytes(range(32)) + b"".join(number.to_bytes(8, "big") for number in numbers) + b"".join(texts)
    assert record_hash(bytes(range(32)), *GOLDEN_COLUMNS) == hashlib.sha256(by_hand).digest()


@given(COLUMNS, COLUMNS)
def test_different_columns_have_different_hashes(
    one: tuple[int, str, int, str, int, int, str, str, int, int, bytes],
    other: tuple[int, str, int, str, int, int, str, str, int, int, bytes],
) -> None:
    """Moving a byte from one column to the next changes the hash as any other change does."""
    assert (record_hash(GENESIS_HASH, *one) == record_hash(GENESIS_HASH, *other)) == (one == other)


@given(DRAFTS, st.integers(0, 12))
def test_accepts_every_journal_from_any_place(drafts: list[tuple[str, bytes]], cut: int) -> None:
    """An untouched journal verifies from the beginning, and from behind any of its records."""
    records = journal_of(drafts)
    verify(iter(records), head_of(records))
    cut = min(cut, len(records))
    verify(records[cut:], head_of(records), head_of(records[:cut]))


def altered(value: int | str | bytes) -> int | str | bytes:
    """Return another value of the same type."""
    if isinstance(value, int):
        return value + 1
    return value + "x" if isinstance(value, str) else value + b"x"


@given(DRAFTS.filter(bool), st.integers(0), st.sampled_from(Record._fields))
def test_notices_any_changed_column(drafts: list[tuple[str, bytes]], index: int, column: str) -> None:
    """Whichever column of whichever record is changed, the journal is refused."""
    records = journal_of(drafts)
    index %= len(records)
    changed = altered(getattr(records[index], column))
    changes: dict[str, Any] = {column: changed}
    records[index] = records[index]._replace(**changes)
    with pytest.raises(JournalCorrupt):
        verify(records, head_of(journal_of(drafts)))


@given(DRAFTS.filter(bool), st.integers(0))
def test_notices_a_lost_record(drafts: list[tuple[str, bytes]], index: int) -> None:
    """Whichever record is missing, also the last, the journal is refused."""
    records = journal_of(drafts)
    head = head_of(records)
    del records[index % len(records)]
    with pytest.raises(JournalCorrupt):
        verify(records, head)


def rehashed(records: list[Record]) -> list[Record]:
    """Return the records with hashes that fit, as somebody who owns the file could write them."""
    previous_hash, result = GENESIS_HASH, []
    for record in records:
        previous_hash = record_hash(previous_hash, *record[:-1])
        result.append(record._replace(hash=previous_hash))
    return result


def with_second(**changes: Any) -> Change:
    return lambda records: rehashed([records[0], records[1]._replace(**changes), records[2]])


CHANGES: dict[str, tuple[Change, str, int]] = {
    "lost": (lambda records: [records[0], records[2]], "POSITION_GAP", 2),
    "other content": (lambda records: [records[0], records[1]._replace(data=b"other"), records[2]], "HASH_MISMATCH", 2),
    "time below zero": (lambda records: [records[0], records[1]._replace(at=-1), records[2]], "TIME_BACKWARDS", 2),
    "number below zero": (lambda records: [records[0]._replace(causation=-1), *records[1:]], "COLUMN_INVALID", 1),
    "no value": (lambda records: [records[0]._replace(data=None), *records[1:]], "COLUMN_INVALID", 1),  # type: ignore[arg-type]
    "version skipped": (with_second(version=2), "VERSION_GAP", 2),
    "version zero": (with_second(version=0), "VERSION_GAP", 2),
    "version repeated": (with_second(stream="task/0"), "VERSION_GAP", 2),
    "earlier time": (with_second(at=1), "TIME_BACKWARDS", 2),
    "earlier epoch": (with_second(epoch=0), "EPOCH_BACKWARDS", 2),
    "end lost": (lambda records: records[:2], "RECORDS_MISSING", 3),
    "more than the head": (lambda records: [*records, records[2]._replace(position=4)], "ABOVE_HEAD", 4),
    "end rewritten": (lambda records: rehashed([*records[:2], records[2]._replace(actor="key/x")]), "HEAD_HASH", 3),
}


@pytest.mark.parametrize(("change", "reason", "position"), CHANGES.values(), ids=CHANGES)
def test_names_place_and_reason(change: Change, reason: str, position: int) -> None:
    """The error says at which position it happened and what is wrong there."""
    records = list(numbered(HEAD, 3).records)
    with pytest.raises(JournalCorrupt) as caught:
        verify(change(records), head_of(records))
    assert caught.value.details == {"position": position, "reason": reason}
    assert f"position {position}" in caught.value.message


def test_refuses_a_head_of_an_earlier_epoch() -> None:
    """A head below the epoch of its last record cannot be."""
    records = list(numbered(HEAD, 2).records)
    with pytest.raises(JournalCorrupt, match="epoch 1"):
        verify(records, head_of(records)._replace(epoch=0))


def test_accepts_an_empty_journal() -> None:
    """Nothing leads from the beginning to the beginning."""
    verify([], GENESIS)
    verify([], Head(0, GENESIS_HASH, 9))


def test_accepts_a_stream_that_began_before() -> None:
    """Behind a later place a stream's first version is taken as it is, and counted on from there."""
    drafts = [Draft("task/a", 1), Draft("task/a", 2), Draft("task/b", 1), Draft("task/a", 3)]
    records = chained(HEAD, drafts)
    verify(records[1:], head_of(records), head_of(records[:1]))
    wrong = chained(HEAD, [*drafts[:3], Draft("task/a", 4)])
    with pytest.raises(JournalCorrupt, match="version 4 where 3 belongs"):
        verify(wrong[1:], head_of(wrong), head_of(wrong[:1]))
