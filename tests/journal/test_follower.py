"""A follower reads on from where it is, in bounded steps, and hands every event to the fold once."""

from collections.abc import Sequence

import pytest

from ploinky.adapters.memory.journal import MemoryJournalStore
from ploinky.domain.errors import JournalNewer
from ploinky.journal.codec import Codec, Recorded
from ploinky.journal.follower import Follower
from ploinky.ports.journal_store import READ_LIMIT_ROWS, AppendBatch
from tests.journal import sample_commands as sample
from tests.journal.records import Draft, chained
from tests.journal.stepping import Stepping


class Folded:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[list[Recorded]] = []

    def __call__(self, batch: Sequence[Recorded]) -> None:
        self.batches.append(list(batch))

    @property
    def positions(self) -> list[int]:
        return [recorded.position for batch in self.batches for recorded in batch]


def with_keys(count: int) -> Stepping:
    steps = Stepping()
    for number in range(count):
        steps.give(sample.issue_key(f"k{number}"))
    steps.settle()
    return steps


def test_an_empty_journal_has_nothing_to_fold() -> None:
    """Nothing is read, nothing is folded, and the follower stays where it is."""
    folded, follower = Folded(), Follower(MemoryJournalStore(), Codec())
    assert follower.step(folded) == 0
    assert follower.catch_up(folded) == 0
    assert not folded.batches
    assert follower.last is None


def test_folds_everything_in_order_in_bounded_steps() -> None:
    """A long journal is read in several reads, none above the limit of the store."""
    steps, folded = with_keys(2 * READ_LIMIT_ROWS + 1), Folded()
    follower = Follower(steps.store, Codec())
    assert follower.catch_up(folded) == 2 * READ_LIMIT_ROWS + 1
    assert [len(batch) for batch in folded.batches] == [READ_LIMIT_ROWS, READ_LIMIT_ROWS, 1]
    assert folded.positions == list(range(1, 2 * READ_LIMIT_ROWS + 2))


def test_goes_on_where_it_stopped() -> None:
    """A second follower that starts at the first one's position sees exactly what is left."""
    steps, first, second = with_keys(10), Folded(), Folded()
    early = Follower(steps.store, Codec())
    assert early.step(first, limit=4) == 4
    assert early.last == steps.store.contents.records[3]
    Follower(steps.store, Codec(), early.position).catch_up(second)
    assert (first.positions, second.positions) == ([1, 2, 3, 4], [5, 6, 7, 8, 9, 10])


def test_sees_what_is_committed_later() -> None:
    """Caught up is not finished: what is committed afterwards comes with the next step, and nothing comes twice."""
    steps, folded = with_keys(1), Folded()
    follower = Follower(steps.store, Codec())
    follower.catch_up(folded)
    steps.give(sample.issue_key("later"))
    assert follower.step(folded) == 0, "not committed yet"
    steps.settle()
    follower.catch_up(folded)
    assert folded.positions == [1, 2]


def test_folds_what_the_dispatcher_told_its_followers() -> None:
    """Read back or told live, an event is the same, but for the payloads that only the live one carries."""
    steps, live, read = Stepping(), Folded(), Folded()
    steps.dispatcher.followers.append(live)
    steps.run(*sample.serve("d1"), sample.submit("t1"), sample.succeed("t1"))
    Follower(steps.store, Codec()).catch_up(read)
    told = [one._replace(payloads={}) for batch in live.batches for one in batch]
    assert told == [one for batch in read.batches for one in batch]


def store_with(*types: str) -> MemoryJournalStore:
    store = MemoryJournalStore()
    head = store.take_epoch()
    records = chained(head, [Draft(stream=f"thing/{number}") for number in range(len(types))])
    renamed = [record._replace(type=types[number]) for number, record in enumerate(records)]
    store.append(AppendBatch(head, renamed, []))
    return store


def test_passes_by_what_may_be_skipped() -> None:
    """An event that an older reader may skip is not folded, and the follower is past it."""
    folded, follower = Folded(), Follower(store_with("deployment.removed", "thing.noticed?"), Codec())
    assert follower.catch_up(folded) == 2
    assert folded.positions == [1]


def test_stops_before_what_it_does_not_know() -> None:
    """An unknown event is not passed by: the follower stays where it was and says why."""
    folded, follower = Folded(), Follower(store_with("deployment.removed", "thing.shrunk"), Codec())
    with pytest.raises(JournalNewer, match=r"thing\.shrunk at position 2"):
        follower.catch_up(folded)
    assert (follower.position, folded.batches) == (0, [])
