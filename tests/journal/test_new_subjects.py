"""Commands about subjects whose ids were minted for them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ploinky.adapters.memory.journal import MemoryJournalStore
from ploinky.domain.deciders import DECIDERS
from ploinky.journal.codec import EPOCH, from_microseconds, to_microseconds
from ploinky.journal.dispatcher import Dispatcher
from ploinky.journal.inline_writer import InlineWriter
from ploinky.ports.journal_store import Record
from tests.journal import sample_commands as sample
from tests.journal.stepping import ANYBODY, Heard, Stepping


class CountingStore(MemoryJournalStore):
    """Knows which streams were read."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[str] = []

    def read_stream(self, stream: str, after_version: int = 0, limit: int = 1_000) -> list[Record]:
        self.streams.append(stream)
        return super().read_stream(stream, after_version, limit)


def submit(steps: Stepping, task_id: str, *, is_new: bool) -> Heard:
    """Give a task and settle."""
    command = sample.submit(task_id)
    heard = Heard(command)
    steps.dispatcher.submit(command, ANYBODY, heard, is_new=is_new)
    steps.settle()
    return heard


def counting() -> tuple[Stepping, CountingStore]:
    """Return a deployment that serves, over a store that counts."""
    steps, store = Stepping(), CountingStore()
    steps.store, steps.writer = store, InlineWriter(store)
    steps.dispatcher = Dispatcher(
        store=store,
        writer=steps.writer,
        codec=steps.codec,
        deciders=DECIDERS,
        clock=steps.clock,
        head=store.take_epoch(),
        last_at=0,
        indexes=steps.views.indexes,
        schedule=steps.scheduled.append,
    )
    steps.dispatcher.followers.append(steps.views.fold)
    steps.run(*sample.serve("d1"))
    store.streams.clear()
    return steps, store


def test_reads_nothing_for_a_new_subject() -> None:
    """A freshly minted task costs no look into the journal, and is otherwise like any other."""
    steps, store = counting()
    assert submit(steps, "t1", is_new=True).position > 0
    assert store.streams == []
    assert submit(steps, "t2", is_new=False).position > 0
    assert store.streams == ["task/t2"]
    assert steps.types("task/t1") == steps.types("task/t2")
    steps.verify()


def test_knows_a_subject_that_is_not_so_new() -> None:
    """What is in memory counts, whoever says that it is new: a task given twice is one task."""
    steps, _ = counting()
    submit(steps, "t1", is_new=True)
    before = steps.types()
    assert submit(steps, "t1", is_new=True).position == 0
    assert steps.types() == before


def test_says_what_was_decided_last() -> None:
    """The newest decision is ahead of the head until it is committed."""
    steps, _ = counting()
    before = steps.dispatcher.head.position
    steps.give(sample.submit("t1"))
    assert steps.dispatcher.decided_position == before + 2
    assert steps.dispatcher.head.position == before
    steps.settle()
    assert steps.dispatcher.head.position == steps.dispatcher.decided_position


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_counts_microseconds_exactly(at: datetime) -> None:
    """An instant and its number of microseconds say the same, whatever the instant."""
    number = to_microseconds(at)
    assert number == (at - EPOCH) // timedelta(microseconds=1)
    assert from_microseconds(number) == at
