"""Every command of an instance in every state it can be in."""

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import InstanceNotFound, TransitionInvalid
from tests.domain.samples import FIRST, RELEASE, created, prepared, ready, requested, running
from tests.domain.specification import Past, given
from tests.domain.table import Expectation, cells, check

STARTING = [*requested(), *prepared()]
STOP = (FIRST, e.InstanceStopRequested(reason="replaced", grace_seconds=10.0))
PAUSE = (FIRST, e.InstancePaused())
STOPPED = (FIRST, e.InstanceStopped(reason="exited"))
REMOVE = (FIRST, e.InstanceRemoveRequested())
REMOVED = (FIRST, e.InstanceRemoved())

STATES: dict[str, Past] = {
    "absent": STARTING,
    "created": [*STARTING, created()],
    "failed": [*STARTING, created(), (FIRST, e.InstanceStartFailed(code="RUNTIME_REFUSED", message="no"))],
    "dropped": [*STARTING, created(), REMOVE],
    "running": [*STARTING, *running()],
    "ready": [*STARTING, *ready()],
    "paused": [*STARTING, *ready(), PAUSE],
    "early": [*STARTING, *running(), PAUSE],
    "ending": [*STARTING, *ready(), STOP],
    "frozen": [*STARTING, *ready(), PAUSE, STOP],
    "unseen": [*STARTING, *ready(), (FIRST, e.InstanceUnobservable(reason="no answer"))],
    "stopped": [*STARTING, *ready(), STOPPED],
    "removing": [*STARTING, *ready(), STOPPED, REMOVE],
    "removed": [*STARTING, *ready(), STOPPED, REMOVE, REMOVED],
    "orphan": [*STARTING, (FIRST, e.OrphanFound(runtime="process", name="n"))],
}

LEGEND: dict[str, Expectation] = {
    "404": InstanceNotFound,
    "no": TransitionInvalid,
    "new": (e.InstanceCreated,),
    "start": (e.InstanceStarted,),
    "fail": (e.InstanceStartFailed,),
    "ready": (e.InstanceReady,),
    "pause": (e.InstancePaused,),
    "go": (e.InstanceResumed,),
    "go+": (e.InstanceResumed, e.InstanceReady),
    "rest": (e.InstancePauseRequested,),
    "wake": (e.InstanceResumeRequested,),
    "stop": (e.InstanceStopRequested,),
    "end": (e.InstanceStopped,),
    "drop": (e.InstanceRemoveRequested,),
    "gone": (e.InstanceRemoved,),
    "exec": (e.ExecRequested,),
    "lost": (e.InstanceUnobservable,),
    "seen": (e.InstanceObservedAgain,),
    "orph": (e.OrphanFound,),
}

# dropped: removal requested before it was started; early: paused before ready; frozen: paused and asked to stop.
TABLE = """
           absent created failed dropped running ready paused early ending frozen unseen stopped removing removed orphan
Create     new    .       .      .       .       .     .      .     .      .      .      .       .        .       .
Started    404    start   no     no      .       .     .      .     .      .      .      no      no       no      no
OtherStart 404    start   no     no      no      no    no     no    no     no     no     no      no       no      no
StartFail  404    fail    .      no      no      no    no     no    no     no     no     no      no       no      no
Ready      404    no      no     no      ready   .     no     no    .      no     .      no      no       no      no
Paused     404    no      no     no      pause   pause .      .     pause  .      pause  no      no       no      pause
Resumed    404    no      no     no      .       .     go+    go    .      go     .      no      no       no      .
Pause      404    no      no     no      no      rest  .      .     no     .      rest   no      no       no      no
Resume     404    no      no     no      .       .     wake   wake  .      no     .      no      no       no      .
Stop       404    no      no     no      stop    stop  stop   stop  .      .      stop   .       .        .       stop
Stopped    404    no      no     no      end     end   end    end   end    end    end    .       .        .       end
Remove     404    drop    drop   .       no      no    no     no    no     no     no     drop    .        .       no
Removed    404    no      no     gone    no      no    no     no    no     no     no     no      gone     .       no
Exec       404    no      no     no      exec    exec  no     no    exec   no     exec   no      no       no      exec
Unobserved 404    lost    lost   lost    lost    lost  lost   lost  lost   lost   .      lost    lost     .       lost
Observed   404    .       .      .       .       .     .      .     .      .      seen   .       .        .       .
Orphan     orph   .       .      .       .       .     .      .     .      .      .      .       .        orph    .
"""

COMMANDS: dict[str, c.Command] = {
    "Create": c.CreateInstance(
        subject_id="d1.1.0",
        deployment_id="d1",
        generation=1,
        number=0,
        runtime="process",
        name="n",
        image="",
        release=RELEASE,
    ),
    "Started": c.RecordStarted(subject_id="d1.1.0", engine_id="e1", queue_identity="q1"),
    "OtherStart": c.RecordStarted(subject_id="d1.1.0", engine_id="e2", queue_identity="q2"),
    "StartFail": c.RecordStartFailed(subject_id="d1.1.0", code="RUNTIME_REFUSED", message="no"),
    "Ready": c.RecordReady(subject_id="d1.1.0"),
    "Paused": c.RecordPaused(subject_id="d1.1.0"),
    "Resumed": c.RecordResumed(subject_id="d1.1.0"),
    "Pause": c.PauseInstance(subject_id="d1.1.0"),
    "Resume": c.ResumeInstance(subject_id="d1.1.0"),
    "Stop": c.StopInstance(subject_id="d1.1.0", reason="replaced", grace_seconds=10.0),
    "Stopped": c.RecordStopped(subject_id="d1.1.0", reason="exited"),
    "Remove": c.RemoveInstance(subject_id="d1.1.0"),
    "Removed": c.RecordRemoved(subject_id="d1.1.0"),
    "Exec": c.RecordExec(subject_id="d1.1.0", program="ls", argument_count=1),
    "Unobserved": c.RecordUnobservable(subject_id="d1.1.0", reason="no answer"),
    "Observed": c.RecordObservedAgain(subject_id="d1.1.0"),
    "Orphan": c.ReportOrphan(subject_id="d1.1.0", runtime="process", name="n"),
}


@pytest.mark.parametrize(("word", "state", "expected"), cells(TABLE))
def test_decides_as_the_table_says(word: str, state: str, expected: str) -> None:
    """Each command in each state leads to the events, the silence or the refusal of its cell."""
    check(given(STATES[state]).when(COMMANDS[word]), expected, LEGEND)


def test_the_table_has_every_command_of_an_instance() -> None:
    """No command for instances is missing from the table's rows."""
    rows = {line.split()[0] for line in TABLE.strip().splitlines()[1:]}
    assert {type(COMMANDS[word]) for word in rows} == set(c.InstanceCommand.__subclasses__())
