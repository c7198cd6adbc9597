"""The journal thread: one answer per batch, in order, whatever happens."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from ploinky.adapters.memory.journal import AppendFault, JournalContents, MemoryJournalStore
from ploinky.domain.errors import (
    DirectoryUnusable,
    Fenced,
    JournalBroken,
    JournalConflict,
    JournalFull,
    PloinkyError,
    ShuttingDown,
)
from ploinky.journal import writer as writer_module
from ploinky.journal.inline_writer import InlineWriter
from ploinky.journal.writer import JournalWriter
from ploinky.ports.journal_store import AppendBatch, PayloadRow
from tests.journal.records import Draft, batch_after, head_after, numbered
from tests.waiting import wait_until

ANSWER_TIMEOUT_SECONDS = 10


class WatchedStore(MemoryJournalStore):
    """A memory store that notes which thread did what, and may fail in ways that nobody expects."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.append_error: Exception | None = None
        self.checkpoint_error: Exception | None = None

    def append(self, batch: AppendBatch) -> None:
        self.calls.append(("append", threading.current_thread().name))
        if self.append_error:
            raise self.append_error
        super().append(batch)

    def checkpoint(self) -> None:
        self.calls.append(("checkpoint", threading.current_thread().name))
        if self.checkpoint_error:
            raise self.checkpoint_error

    @property
    def checkpoints(self) -> int:
        return sum(what == "checkpoint" for what, _ in self.calls)


class Caller:
    """Stands for the event loop: what is delivered waits here until it is taken."""

    def __init__(self) -> None:
        self.delivered: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.answers: list[PloinkyError | None] = []

    def deliver(self, callback: Callable[[], None]) -> None:
        self.delivered.put(callback)

    def answer(self) -> PloinkyError | None:
        """Return the next answer, and check that it is the only one."""
        self.delivered.get(timeout=ANSWER_TIMEOUT_SECONDS)()
        assert len(self.answers) == 1
        return self.answers.pop()

    def write(self, writer: JournalWriter, batch: AppendBatch) -> PloinkyError | None:
        writer.write(batch, self.answers.append)
        return self.answer()


def test_answers_once_the_batch_is_durable() -> None:
    """The answer is None and comes after the append, which the thread named journal did."""
    store, caller = WatchedStore(), Caller()
    writer = JournalWriter(store, caller.deliver)
    assert caller.write(writer, numbered(store.take_epoch(), 3)) is None
    assert store.head().position == 3
    assert store.calls == [("append", "journal")]
    writer.close()


def test_answers_each_batch_on_an_event_loop() -> None:
    """With `call_soon_threadsafe` every batch is answered on the loop, in order."""

    async def scenario() -> list[tuple[int, str]]:
        store = MemoryJournalStore()
        loop = asyncio.get_running_loop()
        writer = JournalWriter(store, loop.call_soon_threadsafe)
        head = store.take_epoch()
        answers: list[tuple[int, str]] = []
        for number in range(20):
            done: asyncio.Future[PloinkyError | None] = loop.create_future()
            batch = numbered(head, 2)
            writer.write(batch, done.set_result)
            assert await done is None
            answers.append((number, threading.current_thread().name))
            head = head_after(batch)
        writer.close()
        assert store.head() == head
        return answers

    assert asyncio.run(scenario()) == [(number, threading.current_thread().name) for number in range(20)]


def test_answers_a_conflict_and_goes_on() -> None:
    """A refused batch is answered with the refusal; the next one is written."""
    store, caller = WatchedStore(), Caller()
    writer = JournalWriter(store, caller.deliver)
    head = store.take_epoch()
    assert isinstance(caller.write(writer, batch_after(head, Draft(version=5))), JournalConflict)
    assert caller.write(writer, batch_after(head, Draft())) is None
    writer.close()


def test_goes_on_after_a_full_disk() -> None:
    """A full disk heals: the same batch is written once there is space."""
    store, caller = MemoryJournalStore(faults=[AppendFault(1, JournalFull())]), Caller()
    writer = JournalWriter(store, caller.deliver)
    batch = numbered(store.take_epoch(), 1)
    assert isinstance(caller.write(writer, batch), JournalFull)
    assert caller.write(writer, batch) is None
    writer.close()


@pytest.mark.parametrize("error", [JournalBroken("sync failed"), Fenced()])
def test_writes_nothing_after_what_cannot_heal(error: PloinkyError) -> None:
    """After an I/O error or a takeover every later batch gets the same answer, without being tried."""
    store, caller = WatchedStore(), Caller()
    store.append_error = error
    writer = JournalWriter(store, caller.deliver)
    head = store.take_epoch()
    assert caller.write(writer, numbered(head, 1)) is error
    store.append_error = None
    assert caller.write(writer, numbered(head, 1)) is error
    assert store.calls == [("append", "journal")]
    writer.close()


def test_an_unexpected_error_is_a_broken_journal() -> None:
    """An exception that nobody foresaw is answered as an I/O error, with its cause kept."""
    store, caller = WatchedStore(), Caller()
    store.append_error = KeyError("surprise")
    writer = JournalWriter(store, caller.deliver)
    answer = caller.write(writer, numbered(store.take_epoch(), 1))
    assert isinstance(answer, JournalBroken)
    assert answer.__cause__ is store.append_error
    assert "surprise" in answer.message
    writer.close()


def test_folds_the_log_back_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without work the log is folded back once, in the journal thread, and not again without a new batch."""
    monkeypatch.setattr(writer_module, "IDLE_SECONDS", 0.01)
    store, caller = WatchedStore(), Caller()
    writer = JournalWriter(store, caller.deliver)
    head = store.take_epoch()
    batch = numbered(head, 1)
    assert caller.write(writer, batch) is None
    wait_until(lambda: store.checkpoints == 1)
    assert caller.write(writer, numbered(head_after(batch), 1)) is None
    wait_until(lambda: store.checkpoints == 2)
    writer.close()
    assert store.calls == [("append", "journal"), ("checkpoint", "journal")] * 2


def test_folds_the_log_back_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log above the limit is folded back at once, however busy the writer is; payloads count."""
    monkeypatch.setattr(writer_module, "IDLE_SECONDS", 1000)
    monkeypatch.setattr(writer_module, "UNFOLDED_LIMIT_BYTES", 3 * writer_module.BATCH_OVERHEAD_BYTES)
    store, caller = WatchedStore(), Caller()
    writer = JournalWriter(store, caller.deliver)
    small = numbered(store.take_epoch(), 1)
    assert caller.write(writer, small) is None
    large_payload = PayloadRow(2, "params", b"", bytes(2 * writer_module.BATCH_OVERHEAD_BYTES), None)
    large = batch_after(head_after(small), Draft("task/large"), payloads=[large_payload])
    assert store.checkpoints == 0
    assert caller.write(writer, large) is None
    writer.close()
    assert store.checkpoints == 1


def test_a_full_disk_while_folding_back_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log keeps everything, so the next batch is written as if nothing had been."""
    monkeypatch.setattr(writer_module, "UNFOLDED_LIMIT_BYTES", 0)
    store, caller = WatchedStore(), Caller()
    store.checkpoint_error = JournalFull()
    writer = JournalWriter(store, caller.deliver)
    batch = numbered(store.take_epoch(), 1)
    assert caller.write(writer, batch) is None
    assert caller.write(writer, numbered(head_after(batch), 1)) is None
    writer.close()


@pytest.mark.parametrize("error", [DirectoryUnusable("gone"), OSError("surprise")])
def test_a_failed_fold_fails_the_next_batch(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Nobody waits while the log is folded back, so the next caller is told, and nothing more is tried."""
    monkeypatch.setattr(writer_module, "UNFOLDED_LIMIT_BYTES", 0)
    store, caller = WatchedStore(), Caller()
    store.checkpoint_error = error
    writer = JournalWriter(store, caller.deliver)
    batch = numbered(store.take_epoch(), 1)
    assert caller.write(writer, batch) is None
    answer = caller.write(writer, numbered(head_after(batch), 1))
    assert answer is error or (isinstance(answer, JournalBroken) and "surprise" in answer.message)
    writer.close()
    assert [what for what, _ in store.calls] == ["append", "checkpoint"]


def test_close_finishes_what_was_handed_over() -> None:
    """Everything handed over before is durable and answered when close returns; later batches are refused."""
    store, caller = MemoryJournalStore(), Caller()
    writer = JournalWriter(store, caller.deliver)
    head = store.take_epoch()
    for _ in range(5):
        batch = numbered(head, 2)
        writer.write(batch, caller.answers.append)
        head = head_after(batch)
    writer.close()
    writer.close()
    assert store.head().position == 10
    assert [caller.delivered.get_nowait()() for _ in range(5)] == [None] * 5
    assert caller.answers == [None] * 5
    with pytest.raises(ShuttingDown):
        writer.write(numbered(head, 1), caller.answers.append)
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]


def test_survives_a_closed_loop() -> None:
    """When the loop is gone, what was handed over is written all the same."""
    contents = JournalContents()
    store = MemoryJournalStore(contents)
    loop = asyncio.new_event_loop()
    loop.close()
    writer = JournalWriter(store, loop.call_soon_threadsafe)
    first = numbered(store.take_epoch(), 1)
    writer.write(first, lambda _: None)
    writer.write(numbered(head_after(first), 1), lambda _: None)
    writer.close()
    assert contents.head.position == 2


def test_inline_writer_waits_for_a_step() -> None:
    """Nothing is written before the step, one batch is written by each, and close does the rest."""
    store = MemoryJournalStore()
    writer = InlineWriter(store)
    answers: list[PloinkyError | None] = []
    first = numbered(store.take_epoch(), 1)
    second = numbered(head_after(first), 1)
    writer.write(first, answers.append)
    writer.write(second, answers.append)
    assert (writer.waiting, store.head().position) == (2, 0)
    assert writer.step()
    assert (writer.waiting, store.head().position, answers) == (1, 1, [None])
    writer.close()
    assert (store.head().position, answers) == (2, [None, None])
    assert not writer.step()
    with pytest.raises(ShuttingDown):
        writer.write(second, answers.append)


@pytest.mark.parametrize("is_durable", [False, True])
def test_inline_writer_stays_broken(is_durable: bool) -> None:
    """After an I/O error, whether or not the batch got there, nothing more is written."""
    error = JournalBroken("sync failed")
    store = MemoryJournalStore(faults=[AppendFault(2, error, is_durable=is_durable)])
    writer = InlineWriter(store)
    answers: list[PloinkyError | None] = []
    head = store.take_epoch()
    for _ in range(3):
        batch = numbered(head, 1)
        writer.write(batch, answers.append)
        writer.step()
        head = head_after(batch)
    assert answers == [None, error, error]
    assert store.head().position == (2 if is_durable else 1)
