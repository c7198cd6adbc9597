"""Commands are decided one after the other, and nobody hears of anything before it is durable."""

from datetime import timedelta

import pytest

from ploinky.adapters.memory.clock import START, ManualClock
from ploinky.domain import commands as c
from ploinky.domain.errors import PloinkyError
from ploinky.journal import dispatcher as dispatcher_module
from ploinky.journal.codec import to_microseconds
from ploinky.journal.dispatcher import NO_STREAM, WAITING_LIMIT_COMMANDS, Answer, Context, Expected
from tests.journal import sample_commands as sample
from tests.journal.stepping import Stepping, contents_of


def test_answers_after_commit() -> None:
    """An accepted command is answered once its events are in the journal, with the position of the last."""
    steps = Stepping()
    heard = steps.give(sample.deploy("d1"))
    assert not heard.is_answered
    steps.turn()
    assert not heard.is_answered
    assert steps.writer.waiting == 1
    steps.writer.step()
    assert heard.answer == Answer("d1", 2)
    assert steps.types() == ["deployment.requested", "deployment.rollout_requested"]


def test_one_turn_is_one_commit() -> None:
    """What is decided in the same turn of the loop shares a commit."""
    steps = Stepping()
    heard = [steps.give(sample.issue_key(f"k{number}")) for number in range(5)]
    steps.turn()
    assert steps.writer.waiting == 1
    steps.writer.step()
    assert [one.position for one in heard] == [1, 2, 3, 4, 5]
    steps.turn()
    assert steps.writer.waiting == 0


@pytest.mark.parametrize("is_in_flight", [False, True])
def test_refusals_wait_for_what_they_rest_on(is_in_flight: bool) -> None:
    """A refusal because of an undurable decision is not heard before that decision is durable."""
    steps = Stepping()
    steps.give(sample.deploy("d1", path="/same"))
    if is_in_flight:
        steps.turn()
    refused = steps.give(sample.deploy("d2", path="/same"))
    assert not refused.is_answered
    steps.turn()
    assert not refused.is_answered
    steps.writer.step()
    assert refused.code == "ROUTE_TAKEN"


def test_repetitions_wait_for_what_they_rest_on() -> None:
    """A repetition is told the earlier task's id only when that task is durable."""
    steps = Stepping()
    steps.run(*sample.serve("d1"))
    first = steps.give(sample.submit("t1", key="k", digest="r"))
    steps.turn()
    repeated = steps.give(sample.submit("t2", key="k", digest="r"))
    nothing = steps.give(c.CancelTask(subject_id="t9"))
    assert not repeated.is_answered
    assert not nothing.is_answered
    steps.settle()
    assert isinstance(first.answer, Answer)
    assert repeated.answer == Answer("t1", 0)
    assert nothing.code == "TASK_NOT_FOUND"


def test_refuses_at_once_when_nothing_is_undecided() -> None:
    """A refusal that rests on durable decisions only needs no commit."""
    steps = Stepping()
    heard = steps.give(c.Undeploy(subject_id="nobody"))
    assert heard.code == "DEPLOYMENT_NOT_FOUND"
    assert steps.dispatcher.is_idle
    steps.turn()
    assert steps.writer.waiting == 0


def test_refusals_behind_a_commit_need_no_commit_of_their_own() -> None:
    """Refusals given while a batch is written are heard when it is done, and nothing further is written."""
    steps = Stepping()
    steps.give(sample.deploy("d1"))
    steps.turn()
    refused = [steps.give(c.Undeploy(subject_id="nobody")) for _ in range(3)]
    steps.writer.step()
    assert [one.code for one in refused] == ["DEPLOYMENT_NOT_FOUND"] * 3
    assert steps.writer.waiting == 0


def test_decides_on_top_of_what_is_in_flight() -> None:
    """While one batch is written the next is decided on its outcome, and follows it in the chain."""
    steps = Stepping()
    first = steps.give(sample.deploy("d1"))
    steps.turn()
    second = steps.give(c.StopDeployment(subject_id="d1"))
    steps.turn()
    assert steps.writer.waiting == 1, "one batch is in flight at a time"
    third = steps.give(c.StopDeployment(subject_id="d1"))
    steps.writer.step()
    assert first.is_answered
    assert not second.is_answered
    assert steps.writer.waiting == 1, "the next is handed over as soon as the first is done"
    steps.writer.step()
    assert second.position == 4
    assert third.answer == Answer("d1", 0)
    assert steps.types("deployment/d1")[-2:] == ["deployment.rollout_failed", "deployment.stop_requested"]
    steps.verify()


def test_answers_in_the_order_of_the_questions() -> None:
    """Within a batch, accepted and refused commands are answered in the order in which they were given."""
    steps = Stepping()
    order: list[str] = []
    for key in ("k1", "k1", "k2"):
        steps.dispatcher.submit(
            sample.issue_key(key), Context("a", "r"), lambda answer: order.append(type(answer).__name__)
        )
    steps.settle()
    assert order == ["Answer", "Conflict", "Answer"]


def test_views_are_folded_before_answers_are_given() -> None:
    """Who hears an answer finds what it says in the views."""
    steps = Stepping()
    seen: list[int] = []
    steps.dispatcher.submit(
        sample.deploy("d1"), Context("a", "r"), lambda _: seen.append(len(steps.views.deployments.rows))
    )
    steps.settle()
    assert seen == [1]


def test_commands_without_a_listener_are_decided_too() -> None:
    """A command that nobody waits for is recorded all the same."""
    steps = Stepping()
    steps.dispatcher.submit(sample.deploy("d1"), Context("policy", "r"))
    assert steps.dispatcher.is_idle
    steps.settle()
    assert steps.types("deployment/d1")


def test_whoever_is_answered_may_go_on_at_once() -> None:
    """A command given inside an answer is decided on what was just committed, and committed next."""
    steps = Stepping()
    positions: list[int] = []

    def chain(answer: Answer | PloinkyError) -> None:
        assert isinstance(answer, Answer)
        positions.append(answer.position)
        if len(positions) < 4:
            steps.dispatcher.submit(sample.issue_key(f"k{answer.position}"), Context("a", "r"), chain)

    steps.dispatcher.submit(sample.issue_key("first"), Context("a", "r"), chain)
    steps.settle()
    assert positions == [1, 2, 3, 4]


@pytest.mark.parametrize(("expected", "is_accepted"), [(None, True), (2, True), (1, False), (3, False), (0, False)])
def test_checks_the_version_that_was_seen(expected: int | None, is_accepted: bool) -> None:
    """A command that rests on a version is refused when another was decided since."""
    steps = Stepping()
    steps.ask(sample.deploy("d1"))
    heard = steps.give(
        c.Undeploy(subject_id="d1"), expected=None if expected is None else Expected(expected), is_urgent=True
    )
    steps.settle()
    if is_accepted:
        assert heard.position == 4
    else:
        assert heard.code == "VERSION_CONFLICT"


def test_checks_versions_that_are_not_durable_yet() -> None:
    """Of two commands that saw the same version in one turn, the second is refused."""
    steps = Stepping()
    first = steps.give(sample.deploy("d1"), expected=NO_STREAM)
    second = steps.give(c.StopDeployment(subject_id="d1"), expected=NO_STREAM)
    steps.settle()
    assert isinstance(first.answer, Answer)
    assert second.code == "VERSION_CONFLICT"


def test_a_command_that_cannot_be_encoded_fails_alone() -> None:
    """What cannot be written is refused; nothing of it stays, and its neighbours are committed."""
    steps = Stepping()
    before = steps.give(sample.issue_key("k1"))
    state = contents_of(steps.dispatcher.indexes)
    bad = steps.give(c.Deploy(subject_id="d1", domain="*", path="/\ud800", spec=sample.SPEC))
    assert contents_of(steps.dispatcher.indexes) == state
    after = steps.give(sample.deploy("d1"))
    steps.settle()
    assert (before.position, bad.code, after.position) == (1, "INVALID_REQUEST", 3)
    steps.verify()


def test_records_who_and_why() -> None:
    """Actor, correlation and causation of the context stand in each record of a decision."""
    steps = Stepping()
    steps.give(sample.deploy("d1"), context=Context("key:k1", "request-7", 3))
    steps.settle()
    columns = {(record.actor, record.correlation, record.causation) for record in steps.store.contents.records}
    assert columns == {("key:k1", "request-7", 3)}
    assert steps.views.deployments.rows["d1"].created_by == "key:k1"


def test_stores_payloads_with_their_event() -> None:
    """Content lies beside the event that refers to it, from the same commit on."""
    steps = Stepping()
    steps.run(*sample.serve("d1"))
    heard = steps.give(sample.submit("t1"))
    steps.turn()
    assert not steps.store.contents.payloads
    steps.writer.step()
    submitted = heard.position - 1
    assert set(steps.store.contents.payloads) == {(submitted, "params"), (submitted, "metadata")}
    row = steps.store.payload(submitted, "params")
    assert row is not None
    assert row.content == b'{"a":1}'


def test_followers_get_the_payloads_of_what_was_committed() -> None:
    """Who follows live needs not read back what was just written."""
    steps = Stepping()
    contents: list[bytes | None] = []
    steps.dispatcher.followers.append(
        lambda batch: contents.extend(payload.content for one in batch for payload in one.payloads.values())
    )
    steps.run(*sample.serve("d1"), sample.submit("t1"))
    assert contents == [b'{"a":1}', b"{}"]


def test_time_never_goes_back() -> None:
    """When the clock is set back, records keep the latest time; when it catches up, they follow it."""
    steps = Stepping(clock=ManualClock())
    times: list[int] = []
    for step_seconds in (0, 10, -3600, 1, 3600):
        steps.clock.step(step_seconds)
        steps.ask(sample.issue_key(f"k{len(times)}"))
        times.append(steps.store.contents.records[-1].at - to_microseconds(START))
    assert times == [0, 10_000_000, 10_000_000, 10_000_000, 11_000_000]
    steps.verify()


def test_time_never_goes_back_over_a_restart() -> None:
    """A new dispatcher starts at the last record's time, whatever its clock says."""
    steps = Stepping()
    steps.ask(sample.issue_key("k1"))
    again = Stepping(steps.store.contents, clock=ManualClock(START - timedelta(days=1)))
    again.ask(sample.issue_key("k2"))
    assert [record.at for record in again.store.contents.records] == [to_microseconds(START)] * 2
    again.verify()


def test_goes_on_after_a_restart() -> None:
    """A new dispatcher decides on what is in the journal, in a new epoch, and the chain goes on."""
    steps = Stepping()
    steps.run(*sample.serve("d1"), sample.submit("t1"))
    again = Stepping(steps.store.contents)
    assert contents_of(again.dispatcher.indexes) == contents_of(steps.dispatcher.indexes)
    assert again.ask(sample.deploy("d2", path="/d1")).code == "ROUTE_TAKEN"
    heard = again.ask(sample.succeed("t1"))
    assert heard.position == again.dispatcher.head.position
    assert [record.epoch for record in again.store.contents.records[-2:]] == [1, 2]
    again.verify()


def test_forgets_what_was_long_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregate that fell out of the cache is read back from the journal, with its version."""
    monkeypatch.setattr(dispatcher_module, "CACHED_AGGREGATES", 3)
    steps = Stepping()
    steps.ask(sample.deploy("d1"))
    steps.run(*(sample.issue_key(f"k{number}") for number in range(5)))
    assert list(steps.dispatcher._aggregates) == ["access/k2", "access/k3", "access/k4"]
    assert steps.ask(sample.deploy("d1")).code == "INVALID_STATE"
    steps.ask(c.StopDeployment(subject_id="d1"))
    assert [record.version for record in steps.store.read_stream("deployment/d1")] == [1, 2, 3, 4]


def test_refuses_new_work_when_too_much_waits() -> None:
    """Beyond the limit new work is refused at the end of the queue; urgent commands have a lane as wide again."""
    steps = Stepping()
    accepted = [steps.give(sample.issue_key(f"k{number}")) for number in range(WAITING_LIMIT_COMMANDS)]
    refused = steps.give(sample.issue_key("one-too-many"))
    assert refused.code == "OVERLOADED", "this is heard at once, and takes no place"
    urgent = [
        steps.give(c.RevokeKey(subject_id=f"k{number}"), is_urgent=True) for number in range(WAITING_LIMIT_COMMANDS)
    ]
    assert steps.give(c.RevokeKey(subject_id="k1"), is_urgent=True).code == "OVERLOADED"
    steps.settle()
    assert {type(one.answer) for one in accepted + urgent} == {Answer}
    assert steps.dispatcher.is_idle
    assert isinstance(steps.ask(sample.issue_key("one-more")).answer, Answer)


@pytest.mark.parametrize("context", [Context("key:\ud800", "r"), Context("key:k1", "\ud800")])
def test_refuses_names_that_cannot_be_written(context: Context) -> None:
    """A name without a UTF-8 form fails its own command only, wherever it stands."""
    steps = Stepping()
    bad = [steps.give(sample.issue_key("k1"), context=context), steps.give(sample.issue_key("\ud800"))]
    steps.ask(sample.issue_key("k2"))
    assert [one.code for one in bad] == ["INVALID_REQUEST"] * 2
    assert steps.types() == ["access.key_issued"]
    steps.verify()
