"""Every command of a task in every state it can be in."""

from contextlib import suppress
from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import TaskNotFound, TransitionInvalid
from ploinky.domain.task import ENDED, Task
from tests.domain.samples import (
    TASK,
    attempt,
    expire,
    expired,
    fail,
    payload,
    serving_instance,
    submit,
    submitted,
    succeed,
)
from tests.domain.specification import START, Past, World, given
from tests.domain.table import Expectation, cells, check

WAITING = [*serving_instance(), submitted()]
RUNNING = [*WAITING, attempt()]
ASKED = (TASK, e.CancelRequested())

STATES: dict[str, Past] = {
    "absent": serving_instance(),
    "waiting": WAITING,
    "running": RUNNING,
    "claimed": [*RUNNING, (TASK, e.TaskClaimed(attempt=1))],
    "asked": [*RUNNING, ASKED],
    "early": [*RUNNING, expired(at=START + timedelta(seconds=9))],
    "again": [*RUNNING, expired()],
    "done": [*RUNNING, (TASK, e.TaskSucceeded(attempt=1, result=payload().reference))],
    "failed": [*RUNNING, (TASK, e.TaskFailed(attempt=1, code="X", message="m"))],
    "stopped": [*RUNNING, ASKED, (TASK, e.TaskCancelled())],
    "dead": [*RUNNING, (TASK, e.TaskDead(code="TASK_LOST", message="m"))],
    "unrun": [*WAITING, (TASK, e.TaskCancelled())],
}

LEGEND: dict[str, Expectation] = {
    "404": TaskNotFound,
    "no": TransitionInvalid,
    "new": (e.TaskSubmitted, e.AttemptStarted),
    "start": (e.AttemptStarted,),
    "claim": (e.TaskClaimed,),
    "done": (e.TaskSucceeded,),
    "fail": (e.TaskFailed,),
    "lost": (e.AttemptExpired,),
    "late": (e.ResultLate,),
    "odd": (e.ResultQuarantined,),
    "ask": (e.CancelRequested,),
    "end": (e.TaskCancelled,),
    "dead": (e.TaskDead,),
}

# early: lost, to be repeated later; again: lost, to be repeated now; unrun: cancelled before any attempt.
TABLE = """
            absent waiting running claimed asked early again done  failed stopped dead unrun
Start       404    start   .       .       .     .     start .     .      .       .    .
Claimed     404    .       claim   .       claim .     .     .     .      .       .    .
Succeeded   404    no      done    done    done  late  late  .     .      late    late no
Failed      404    no      fail    fail    fail  late  late  .     .      late    late no
WorkerDied  404    no      lost    lost    end   .     .     .     .      .       .    no
Cancelled   404    no      fail    fail    end   .     .     .     .      .       .    no
Expire      404    .       lost    lost    end   .     .     .     .      .       .    .
Cancel      404    end     ask     ask     .     end   end   no    no     .       no   .
Abandon     404    dead    .       .       .     dead  dead  .     .      .       .    .
Quarantined 404    .       odd     odd     odd   odd   odd   odd   odd    odd     odd  .
"""

COMMANDS: dict[str, c.Command] = {
    "Start": c.StartAttempt(subject_id="t1"),
    "Claimed": c.RecordClaimed(subject_id="t1", attempt=1),
    "Succeeded": succeed(),
    "Failed": fail(),
    "WorkerDied": fail(code="WORKER_DIED"),
    "Cancelled": fail(code="CANCELLED"),
    "Expire": expire(),
    "Cancel": c.CancelTask(subject_id="t1"),
    "Abandon": c.AbandonTask(subject_id="t1", reason="nothing will run it"),
    "Quarantined": c.RecordQuarantined(subject_id="t1", attempt=1, reason="a link"),
}


@pytest.mark.parametrize(("word", "state", "expected"), cells(TABLE))
def test_decides_as_the_table_says(word: str, state: str, expected: str) -> None:
    """Each command in each state leads to the events, the silence or the refusal of its cell."""
    check(given(STATES[state]).when(COMMANDS[word]), expected, LEGEND)


@pytest.mark.parametrize("state", STATES)
def test_submits_once(state: str) -> None:
    """The id of a task is accepted once; afterwards the answer is the same task, whatever became of it."""
    outcome = given(STATES[state]).when(submit())
    if state == "absent":
        check(outcome, "new", LEGEND)
    else:
        outcome.then_repeated("t1")


def test_the_tables_have_every_command_of_a_task() -> None:
    """No command for tasks is missing from the tests above."""
    rows = {line.split()[0] for line in TABLE.strip().splitlines()[1:]}
    assert {type(COMMANDS[word]) for word in rows} | {c.SubmitTask} == set(c.TaskCommand.__subclasses__())


@pytest.mark.parametrize("state", ["done", "failed", "stopped", "dead", "unrun"])
@pytest.mark.parametrize("word", COMMANDS)
def test_an_ended_task_stays_as_it_ended(state: str, word: str) -> None:
    """No command leads from one end to another, and none gives a slot or a place in the queue back."""
    world = World(STATES[state])
    before: Task = world.state(TASK)
    assert before.state in ENDED
    with suppress(TransitionInvalid):
        world.execute(COMMANDS[word])
    after: Task = world.state(TASK)
    assert (after.state, after.code, after.message, after.attempt) == (
        before.state,
        before.code,
        before.message,
        before.attempt,
    )
    assert not world.indexes.running
    assert not world.indexes.waiting_deployments
