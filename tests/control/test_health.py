"""Whether agents work: before they serve, as long as they do, and right after a change."""

import json

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Outcome
from ploinky.domain.instance import Status
from ploinky.ports.runtime import Address, Executed
from tests.control.machine import SPEC, URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

PORT = 8080
HERE = Address("127.0.0.1", PORT)
OFTEN = {"interval": 0.05, "timeout": 1}


def agent(around: Surroundings, **manifest: object) -> None:
    """Let the agent's next commit have this manifest."""
    around.sources.commit(URL, {"sample/manifest.json": json.dumps(manifest).encode()})


def state_of(machine: Machine) -> Deployment:
    return machine.views.deployments.rows["d1"].state


async def ask_for(machine: Machine) -> None:
    await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))


def test_serves_only_once_its_script_says_so(play: Play) -> None:
    """The agent's own word is not enough where a readiness probe is given, and the failing look is told."""

    async def scenario(around: Surroundings) -> None:
        agent(around, health={"readiness": {"script": "check up", "successThreshold": 2, **OFTEN}})
        around.runtime.commands = lambda _command, _stdin: Executed(1, stderr=b"not yet\n")
        async with running(around) as machine:
            await ask_for(machine)
            await eventually(lambda: machine.health.finding("d1.1.0"), what="a look")
            assert machine.health.finding("d1.1.0") == "`check` exits with 1: not yet"
            assert state_of(machine).active_generation == 0
            around.runtime.commands = lambda _command, _stdin: Executed(0)
            assert await machine.ready_instance() == "d1.1.0"
            assert machine.health.finding("d1.1.0") == ""

    play(scenario)


def test_a_script_that_hangs_counts_as_a_failure(play: Play) -> None:
    """Its time limit is named."""

    async def scenario(around: Surroundings) -> None:
        agent(around, health={"readiness": {"script": ["check", "up"], **OFTEN}})
        around.runtime.commands = lambda _command, _stdin: Executed(137, is_timed_out=True)
        async with running(around) as machine:
            await ask_for(machine)
            await eventually(lambda: machine.health.finding("d1.1.0"), what="a look")
            assert machine.health.finding("d1.1.0") == "`check` took longer than 1 s"

    play(scenario)


def test_an_unhealthy_agent_is_started_again(play: Play) -> None:
    """After so many failures in a row it is stopped with the last one as evidence, and a new generation begins."""

    async def scenario(around: Surroundings) -> None:
        health = {"liveness": {"http": "/health", "failureThreshold": 3, **OFTEN}}
        agent(around, run="./serve", http={"port": PORT}, health=health)
        async with running(around) as machine:
            await machine.deploy()
            around.probes.statuses[HERE] = 503
            await eventually(lambda: state_of(machine).restart_due_at is not None, what="a restart")
            ended = machine.instance("d1.1.0")
            assert ended is not None
            assert (ended.status, ended.stop_reason) == (Status.STOPPED, "unhealthy")
            assert ended.evidence.probe == "GET /health answers 503"
            around.probes.statuses.clear()
            assert await machine.ready_instance(generation=2) == "d1.2.0"

    play(scenario)


def test_a_single_failure_is_forgiven(play: Play) -> None:
    """Only failures in a row count: one success between them begins the count anew."""

    async def scenario(around: Surroundings) -> None:
        agent(around, health={"liveness": {"script": "check", "failureThreshold": 2, **OFTEN}})
        asked: list[int] = []

        def every_other(_command: object, _stdin: bytes) -> Executed:
            asked.append(len(asked) % 2)
            return Executed(asked[-1])

        around.runtime.commands = every_other
        async with running(around) as machine:
            await machine.deploy()
            await eventually(lambda: len(asked) >= 6, what="six looks")
            instance = machine.instance("d1.1.0")
            assert instance is not None
            assert not instance.is_stop_requested

    play(scenario)


def test_a_paused_agent_is_not_asked(play: Play) -> None:
    """What the engine froze cannot answer, and is not stopped for it."""

    async def scenario(around: Surroundings) -> None:
        agent(around, health={"liveness": {"script": "check", "failureThreshold": 1, **OFTEN}})
        asked: list[int] = []

        def note(_command: object, _stdin: bytes) -> Executed:
            asked.append(0)
            return Executed(0)

        around.runtime.commands = note
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.RecordPaused(subject_id="d1.1.0"))
            before = len(asked)
            await machine.give(c.RecordResumed(subject_id="d1.1.0"))
            assert len(asked) <= before + 1
            await eventually(lambda: len(asked) > before + 1, what="looks after the pause")

    play(scenario)


def test_a_change_that_turns_out_unhealthy_is_taken_back(play: Play) -> None:
    """Inside the window after the switch the earlier generation takes over again, as it still runs."""

    async def scenario(around: Surroundings) -> None:
        around.revert_window_seconds = 60.0
        agent(around)
        async with running(around) as machine:
            await machine.deploy()
            agent(around, health={"liveness": {"script": "check", "failureThreshold": 1, **OFTEN}})
            await machine.give(c.UpdateDeployment(subject_id="d1", spec=SPEC))
            await eventually(lambda: state_of(machine).active_generation == 2, what="the switch")
            around.runtime.commands = lambda _command, _stdin: Executed(3, stdout=b"broken")
            await eventually(lambda: state_of(machine).rollout is None, what="the end of the rollout")
            end = state_of(machine).last_end
            assert end is not None
            assert (end.outcome, end.step, end.code) == (Outcome.REVERTED, "verify", "AGENT_UNHEALTHY")
            assert "`check` exits with 3: broken" in end.message
            assert state_of(machine).active_generation == 1
            first = machine.instance("d1.1.0")
            assert first is not None
            assert first.is_ready, "it was never stopped"
            await eventually(lambda: machine.instance("d1.2.0") is None, what="the end of the new one")
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state == "succeeded", what="an answer")
            assert machine.task("t1").instance_id == "d1.1.0"

    play(scenario)


def test_a_change_that_works_is_confirmed(play: Play) -> None:
    """After the window the rollout has succeeded, and the earlier generation goes."""

    async def scenario(around: Surroundings) -> None:
        around.revert_window_seconds = 0.3
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.UpdateDeployment(subject_id="d1", spec=SPEC))
            await eventually(lambda: state_of(machine).active_generation == 2, what="the switch")
            assert machine.instance("d1.1.0") is not None
            await eventually(lambda: state_of(machine).rollout is None, what="the confirmation")
            await eventually(lambda: machine.instance("d1.1.0") is None, what="the end of the old one")
            end = state_of(machine).last_end
            assert end is not None
            assert end.outcome is Outcome.SUCCEEDED

    play(scenario)
