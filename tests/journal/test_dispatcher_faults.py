"""What a failed commit does: everybody who waits hears of it, and nothing of it stays in memory."""

import pytest

from ploinky.adapters.memory.journal import AppendFault
from ploinky.domain import commands as c
from ploinky.domain.errors import (
    Broken,
    Fenced,
    JournalBroken,
    JournalConflict,
    JournalFull,
    OutcomeUnknown,
    PloinkyError,
)
from ploinky.journal.dispatcher import FULL_DISK_PAUSE_SECONDS, Answer
from tests.journal import sample_commands as sample
from tests.journal.stepping import ANYBODY, Heard, Stepping, contents_of, dumped, rebuilt

FULL = JournalFull()


def full_at(*append_numbers: int) -> list[AppendFault]:
    return [AppendFault(number, FULL) for number in append_numbers]


def test_a_failed_commit_fails_everything_undelivered() -> None:
    """The batch that failed, what was decided on top of it, and the refusals that waited: all hear the failure."""
    steps = Stepping(faults=full_at(2))
    steps.ask(sample.issue_key("k1"))
    heard = [steps.give(sample.deploy("d1")), steps.give(sample.issue_key("k1"))]
    steps.turn()
    heard += [steps.give(c.StopDeployment(subject_id="d1")), steps.give(c.Undeploy(subject_id="nobody"))]
    steps.settle()
    assert [one.code for one in heard] == ["JOURNAL_FULL"] * 4
    assert steps.dispatcher.is_idle
    assert steps.types() == ["access.key_issued"]
    assert steps.writer.waiting == 0, "what was decided on top is not written either"


def test_a_failed_decision_is_forgotten() -> None:
    """The same thing can be decided again: neither the cache nor an index remembers that it was decided before."""
    steps = Stepping(faults=full_at(2))
    steps.ask(sample.issue_key("k1"))
    steps.ask(sample.deploy("d1"))
    assert contents_of(steps.dispatcher.indexes) == contents_of(steps.views.indexes())
    steps.clock.advance(FULL_DISK_PAUSE_SECONDS)
    assert steps.ask(sample.deploy("d1")).position == 3
    assert steps.ask(sample.deploy("d2", path="/d1")).code == "ROUTE_TAKEN"
    assert dumped(steps.views) == dumped(rebuilt(steps.store))
    steps.verify()


def test_a_failed_attempt_holds_no_slot() -> None:
    """Slots, waiting tasks and idempotency keys of a failed batch are free again."""
    steps = Stepping(faults=full_at(9))
    steps.run(*sample.serve("d1", concurrency=1), sample.submit("t0", key="k0"))
    steps.ask(sample.succeed("t0"))
    assert steps.store._append_count == 9
    assert steps.views.tasks.running == {"d1.1.0": {"t0": None}}, "its end was not written"
    steps.clock.advance(FULL_DISK_PAUSE_SECONDS)
    steps.run(sample.succeed("t0"), sample.submit("t1", key="k1"))
    assert steps.types("task/t1") == ["task.submitted", "task.attempt_started"]


def test_a_full_disk_gives_the_ballast_back() -> None:
    """The space kept for this moment is released."""
    steps = Stepping(faults=full_at(1))
    steps.ask(sample.deploy("d1"))
    assert steps.store.release_ballast() is False, "it was released already"


def test_a_full_disk_lets_only_urgent_work_through() -> None:
    """For a while new work is refused without an attempt to write it, while stops and cancellations are written."""
    steps = Stepping(faults=full_at(2))
    steps.ask(sample.deploy("d1"))
    steps.ask(sample.issue_key("k1"))
    steps.clock.advance(FULL_DISK_PAUSE_SECONDS - 0.1)
    assert steps.give(sample.issue_key("k1")).code == "JOURNAL_FULL"
    steps.turn()
    assert steps.writer.waiting == 0
    urgent = steps.give(c.StopDeployment(subject_id="d1"), is_urgent=True)
    steps.settle()
    assert isinstance(urgent.answer, Answer)


def test_new_work_goes_on_when_a_commit_succeeds() -> None:
    """The first urgent commit that succeeds proves that there is space, so new work is taken at once."""
    steps = Stepping(faults=full_at(2))
    steps.ask(sample.deploy("d1"))
    steps.ask(sample.issue_key("k1"))
    steps.give(c.StopDeployment(subject_id="d1"), is_urgent=True)
    steps.settle()
    assert isinstance(steps.ask(sample.issue_key("k1")).answer, Answer)


def test_new_work_goes_on_after_the_pause() -> None:
    """After the pause one batch is tried again; when it fails, the pause begins anew."""
    steps = Stepping(faults=full_at(1, 2))
    assert steps.ask(sample.issue_key("k1")).code == "JOURNAL_FULL"
    steps.clock.advance(FULL_DISK_PAUSE_SECONDS)
    assert steps.ask(sample.issue_key("k1")).code == "JOURNAL_FULL"
    assert steps.store._append_count == 2
    steps.clock.advance(FULL_DISK_PAUSE_SECONDS)
    assert steps.ask(sample.issue_key("k1")).position == 1


def test_a_clock_that_is_set_does_not_end_the_pause() -> None:
    """The pause is measured by the clock that only grows."""
    steps = Stepping(faults=full_at(1))
    steps.ask(sample.issue_key("k1"))
    steps.clock.step(3600)
    assert steps.give(sample.issue_key("k1")).code == "JOURNAL_FULL"


class Persistent(Heard):
    """Gives its command once more, as urgent, when it was told of a failure."""

    def __init__(self, steps: Stepping, command: c.Command) -> None:
        super().__init__(command)
        self.steps = steps

    def __call__(self, answer: Answer | PloinkyError) -> None:
        super().__call__(answer)
        if isinstance(answer, PloinkyError) and len(self.answers) == 1:
            self.steps.dispatcher.submit(self.command, ANYBODY, self, is_urgent=True)


def test_whoever_is_told_of_a_failure_may_try_again_at_once() -> None:
    """A command given from within a failed answer is decided on the committed state and written."""
    steps = Stepping(faults=full_at(1))
    heard = Persistent(steps, sample.deploy("d1"))
    steps.dispatcher.submit(heard.command, ANYBODY, heard)
    steps.settle()
    assert heard.answers == [FULL, Answer("d1", 2)]
    assert steps.dispatcher.is_idle


@pytest.mark.parametrize("error", [JournalBroken("I/O error"), Fenced(epoch=1)])
@pytest.mark.parametrize("is_durable", [False, True])
def test_an_unknown_outcome_ends_the_dispatcher(error: Broken, is_durable: bool) -> None:
    """Nobody is told that it failed, since it may be durable: the outcome is unknown, and the process has to end."""
    steps = Stepping(faults=[AppendFault(1, error, is_durable=is_durable)])
    heard = [steps.give(sample.deploy("d1"))]
    steps.turn()
    heard += [steps.give(sample.issue_key("k1")), steps.give(c.Undeploy(subject_id="nobody"))]
    steps.settle()
    assert {type(one.answer) for one in heard} == {OutcomeUnknown}
    assert steps.fatal == [error]
    late = [steps.give(sample.issue_key("k2")), steps.give(c.Undeploy(subject_id="d1"), is_urgent=True)]
    assert [one.code for one in late] == ["SHUTTING_DOWN"] * 2
    steps.settle()
    assert steps.fatal == [error], "once"
    assert steps.store._append_count == 1, "nothing further is written"
    assert steps.dispatcher.is_idle


def test_a_conflict_in_the_journal_ends_the_dispatcher() -> None:
    """A version that is taken in the journal means that this process decides on something else: it has to end."""
    steps = Stepping(faults=[AppendFault(1, JournalConflict())])
    assert steps.ask(sample.deploy("d1")).code == "JOURNAL_CONFLICT"
    assert [type(error) for error in steps.fatal] == [JournalConflict]
    assert steps.ask(sample.deploy("d1")).code == "SHUTTING_DOWN"


def test_a_second_writer_is_noticed() -> None:
    """When another process has taken the journal over, the next commit of the old one is fenced."""
    old = Stepping()
    old.ask(sample.issue_key("k1"))
    new = Stepping(old.store.contents)
    assert old.ask(sample.issue_key("k2")).code == "OUTCOME_UNKNOWN"
    assert [type(error) for error in old.fatal] == [Fenced]
    assert new.ask(sample.issue_key("k2")).position == 2
    new.verify()


def test_what_was_durable_after_all_is_found_by_the_next_process() -> None:
    """An outcome that was unknown is known after a restart, and a repetition is recognised."""
    steps = Stepping(faults=[AppendFault(8, JournalBroken(), is_durable=True)])
    steps.run(*sample.serve("d1"))
    assert steps.ask(sample.submit("t1", key="k", digest="r")).code == "OUTCOME_UNKNOWN"
    again = Stepping(steps.store.contents)
    assert again.ask(sample.submit("t2", key="k", digest="r")).answer == Answer("t1", 0)
