"""What every `JournalStore` has to do, held against memory and against SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ploinky.adapters.memory.journal import JournalContents, MemoryJournalStore
from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.domain.errors import Fenced, JournalBroken, JournalConflict, PloinkyError
from ploinky.journal.chain import verify
from ploinky.ports.journal_store import GENESIS_HASH, READ_LIMIT_ROWS, AppendBatch, Head, JournalStore, PayloadRow
from tests.journal.records import Draft, batch_after, chained, head_after, numbered

Open = Callable[[], JournalStore]


class JournalStoreContract:
    """The suite. A subclass gives `open_store`, which opens the same journal each time."""

    @pytest.fixture
    def open_store(self) -> Open:
        raise AssertionError("given by the subclass")

    @pytest.fixture
    def store(self, open_store: Open) -> JournalStore:
        return open_store()

    def test_begins_empty(self, store: JournalStore) -> None:
        """A new journal has no records, the genesis hash, and no epoch yet."""
        assert store.head() == Head(0, GENESIS_HASH, 0)
        assert store.read(0) == []
        assert store.read_stream("task/one") == []

    def test_has_an_id_for_ever(self, store: JournalStore, open_store: Open) -> None:
        """The journal's id is 12 letters and digits, and the same after reopening."""
        assert len(store.journal_id) == 12
        assert store.journal_id.isalnum()
        store.close()
        assert open_store().journal_id == store.journal_id

    def test_returns_what_was_appended(self, store: JournalStore) -> None:
        """Records come back as they were given, byte for byte, and the head follows them."""
        batch = batch_after(
            store.take_epoch(), Draft(data=b"\x00\xff"), Draft(version=2), Draft("deployment/ü", data=b"")
        )
        store.append(batch)
        assert store.read(0) == batch.records
        assert store.head() == head_after(batch)
        verify(store.read(0), store.head())

    @pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 23])
    def test_returns_batches_of_any_size(self, store: JournalStore, count: int) -> None:
        """However many rows a batch has, each record and each payload is there once, as it was given."""
        head = store.take_epoch()
        rows = [PayloadRow(position, "params", b"s" * 16, b"%d" % position, None) for position in range(1, count + 1)]
        batch = numbered(head, count)._replace(payloads=rows)
        store.append(batch)
        assert store.read(0) == batch.records
        assert [store.payload(row.position, "params") for row in rows] == rows

    def test_keeps_everything_when_reopened(self, store: JournalStore, open_store: Open) -> None:
        """What was appended is there after closing and opening, and appending goes on."""
        batch = numbered(store.take_epoch(), 3)
        store.append(batch)
        store.close()
        reopened = open_store()
        assert reopened.head() == head_after(batch)
        more = numbered(reopened.take_epoch(), 2)
        reopened.append(more)
        assert [record.position for record in reopened.read(0)] == [1, 2, 3, 4, 5]
        assert [record.epoch for record in reopened.read(0)] == [1, 1, 1, 2, 2]
        verify(reopened.read(0), reopened.head())

    def test_reads_pages_in_order(self, store: JournalStore) -> None:
        """Reading goes on after a position, at most as many as asked for."""
        store.append(numbered(store.take_epoch(), 10))
        assert [record.position for record in store.read(4, 3)] == [5, 6, 7]
        assert [record.position for record in store.read(8)] == [9, 10]
        assert store.read(10) == []
        assert store.read(0, 0) == []

    def test_never_returns_more_than_the_limit(self, store: JournalStore) -> None:
        """However many are asked for, a read ends at the limit; a negative number is none."""
        store.append(numbered(store.take_epoch(), READ_LIMIT_ROWS + 5))
        assert len(store.read(0, 10 * READ_LIMIT_ROWS)) == READ_LIMIT_ROWS
        assert len(store.read(0)) == READ_LIMIT_ROWS
        assert store.read(0, -1) == []
        assert store.read_stream("task/1", 0, -1) == []

    def test_reads_one_stream(self, store: JournalStore) -> None:
        """A stream's records come in the order of their versions, without those of others."""
        batch = batch_after(
            store.take_epoch(), Draft("a/1"), Draft("b/1"), Draft("a/1", 2), Draft("a/10"), Draft("a/1", 3)
        )
        store.append(batch)
        assert [record.position for record in store.read_stream("a/1")] == [1, 3, 5]
        assert [record.version for record in store.read_stream("a/1", 1)] == [2, 3]
        assert [record.version for record in store.read_stream("a/1", 0, 2)] == [1, 2]
        assert store.read_stream("a/2") == []

    def test_keeps_payloads_beside_the_records(self, store: JournalStore) -> None:
        """A payload is found by position and name; others are None."""
        head = store.take_epoch()
        rows = [
            PayloadRow(1, "params", b"s" * 16, b"[1]", None),
            PayloadRow(1, "metadata", b"t" * 16, b"", None),
            PayloadRow(2, "result", b"u" * 16, None, "0" * 32),
        ]
        store.append(batch_after(head, Draft(), Draft(version=2), payloads=rows))
        assert store.payload(1, "params") == rows[0]
        assert store.payload(1, "metadata") == rows[1]
        assert store.payload(2, "result") == rows[2]
        assert store.payload(2, "params") is None
        assert store.payload(3, "result") is None

    def test_accepts_an_empty_batch(self, store: JournalStore) -> None:
        """A batch of nothing changes nothing, but a fenced writer notices."""
        head = store.take_epoch()
        store.append(AppendBatch(head, [], []))
        assert store.head() == head
        with pytest.raises(Fenced):
            store.append(AppendBatch(head._replace(epoch=0), [], []))

    def check_nothing_written(self, store: JournalStore, batch: AppendBatch, error: type[PloinkyError]) -> None:
        head, records = store.head(), store.read(0)
        with pytest.raises(error):
            store.append(batch)
        assert store.head() == head
        assert store.read(0) == records
        for row in batch.payloads:
            assert store.payload(row.position, row.name) is None

    @pytest.mark.parametrize(
        "drafts",
        [
            [Draft("a/new"), Draft("a/1", 2)],
            [Draft("a/new"), Draft("a/1", 1)],
            [Draft("a/new"), Draft("a/1", 4)],
            [Draft("a/new"), Draft("a/new", 3)],
            [Draft("a/new"), Draft("a/new", 1)],
            [Draft("a/new", 2)],
            [Draft("a/new", 0)],
        ],
    )
    def test_refuses_a_taken_or_skipped_version(self, store: JournalStore, drafts: list[Draft]) -> None:
        """A version that exists, leaves a gap or is below one is a conflict, and the batch leaves no trace."""
        first = batch_after(store.take_epoch(), Draft("a/1"), Draft("a/1", 2))
        store.append(first)
        row = PayloadRow(3, "params", b"s", b"[]", None)
        bad = batch_after(head_after(first), *drafts, payloads=[row])
        self.check_nothing_written(store, bad, JournalConflict)

    def test_refuses_positions_with_a_gap(self, store: JournalStore) -> None:
        """A batch whose positions do not follow the head is a conflict."""
        head = store.take_epoch()
        later = numbered(head._replace(position=4), 1)
        self.check_nothing_written(store, later._replace(previous=head), JournalConflict)

    def test_refuses_the_same_payload_twice(self, store: JournalStore) -> None:
        """Two payloads of one name at one position are a conflict."""
        row = PayloadRow(1, "params", b"s", b"[]", None)
        bad = batch_after(store.take_epoch(), Draft(), payloads=[row, row])
        self.check_nothing_written(store, bad, JournalConflict)

    def test_goes_on_after_a_conflict(self, store: JournalStore) -> None:
        """A refused batch does not stand in the way of the next one."""
        head = store.take_epoch()
        with pytest.raises(JournalConflict):
            store.append(batch_after(head, Draft(version=7)))
        store.append(batch_after(head, Draft()))
        assert store.head().position == 1

    def test_raises_the_epoch_each_time(self, store: JournalStore, open_store: Open) -> None:
        """Every writer gets a higher epoch than all before, and the rest of the head stays."""
        first = store.take_epoch()
        batch = numbered(first, 2)
        store.append(batch)
        second = store.take_epoch()
        assert (first.epoch, second.epoch) == (1, 2)
        assert second == head_after(batch)._replace(epoch=2)
        assert store.head() == second

    def test_fences_an_earlier_writer(self, store: JournalStore, open_store: Open) -> None:
        """Once another took over, the old writer's batches are refused, though position and hash are right."""
        old = store.take_epoch()
        other = open_store()
        new = other.take_epoch()
        self.check_nothing_written(store, numbered(old, 1), Fenced)
        other.append(numbered(new, 1))
        self.check_nothing_written(store, numbered(old, 1), Fenced)

    def test_refuses_a_repeated_batch(self, store: JournalStore) -> None:
        """The same batch again is fenced: the head has moved on."""
        batch = numbered(store.take_epoch(), 2)
        store.append(batch)
        self.check_nothing_written(store, batch, Fenced)

    @pytest.mark.parametrize("change", [{"position": 1}, {"hash": b"x" * 32}, {"epoch": 5}])
    def test_refuses_a_batch_on_another_head(self, store: JournalStore, change: dict[str, Any]) -> None:
        """A batch built on a head that is not the journal's is fenced, whichever part differs."""
        first = numbered(store.take_epoch(), 2)
        store.append(first)
        wrong = head_after(first)._replace(**change)
        records = chained(wrong, [Draft("task/new")])
        self.check_nothing_written(store, AppendBatch(wrong, records, []), Fenced)

    def test_is_read_from_other_threads(self, store: JournalStore) -> None:
        """Any thread sees what is committed while another appends, always a whole batch."""
        head = store.take_epoch()
        seen: list[int] = []

        def read_on() -> None:
            while not seen or seen[-1] < 100:
                seen.append(len(store.read(0)))

        readers = [Thread(target=read_on) for _ in range(3)]
        for reader in readers:
            reader.start()
        for _ in range(20):
            batch = numbered(head, 5)
            store.append(batch)
            head = head_after(batch)
        for reader in readers:
            reader.join(timeout=30)
            assert not reader.is_alive()
        assert {count % 5 for count in seen} == {0}

    def test_checkpoints_at_any_time(self, store: JournalStore) -> None:
        """Folding back changes nothing that can be seen, and may be repeated."""
        store.checkpoint()
        batch = numbered(store.take_epoch(), 3)
        store.append(batch)
        store.checkpoint()
        store.checkpoint()
        assert store.read(0) == batch.records

    def test_releases_its_ballast_once(self, store: JournalStore, open_store: Open) -> None:
        """There is something to give back once, and again after reopening."""
        assert store.release_ballast()
        assert not store.release_ballast()
        store.close()
        assert open_store().release_ballast()

    def test_refuses_everything_once_closed(self, store: JournalStore) -> None:
        """A closed store says so, and may be closed again."""
        head = store.take_epoch()
        store.close()
        store.close()
        calls: list[Callable[[], object]] = [
            store.take_epoch,
            store.head,
            store.checkpoint,
            lambda: store.read(0),
            lambda: store.read_stream("a/1"),
            lambda: store.payload(1, "params"),
            lambda: store.append(numbered(head, 1)),
        ]
        for call in calls:
            with pytest.raises(JournalBroken, match="closed"):
                call()


class TestMemoryJournalStore(JournalStoreContract):
    @pytest.fixture
    def open_store(self) -> Open:
        contents = JournalContents()
        return lambda: MemoryJournalStore(contents)


class TestSqlalchemyJournalStore(JournalStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[Open]:
        opened: list[JournalStore] = []

        def open_store() -> JournalStore:
            opened.append(open_journal(str(tmp_path / "journal.db"), verify))
            return opened[-1]

        yield open_store
        for store in opened:
            store.close()
