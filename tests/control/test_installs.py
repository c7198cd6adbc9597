"""What an agent needs is installed once, before its start, and a failure ends the rollout with its reason."""

import asyncio

import msgspec
import pytest

from ploinky.control import install_effects
from ploinky.control.install_effects import throwaway_name
from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.dependencies import InstallPlace
from ploinky.domain.deployment import RolloutEnd
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL, InstanceSpec
from tests.control.machine import SITE, SPEC, URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

NEEDY = {
    "sample/manifest.json": b'{"access": "public", "postinstall": "tidy up"}',
    "sample/requirements.txt": b"x==1\n",
}
INSTALLER = throwaway_name("d1", 1)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_effects, "POLL_SECONDS", 0.01)


async def end_of(machine: Machine, deployment_id: str = "d1") -> RolloutEnd:
    def newest() -> RolloutEnd | None:
        row = machine.views.deployments.rows.get(deployment_id)
        return row.state.last_end if row else None

    await eventually(lambda: newest() is not None, what="the end of the rollout")
    found = newest()
    assert found is not None
    return found


def ready_events(machine: Machine, deployment_id: str = "d1") -> list[e.DependenciesReady]:
    records = machine.storage.store.read_stream(f"deployment/{deployment_id}")
    events = [machine.core.codec.decode(record) for record in records]
    return [event for event in events if isinstance(event, e.DependenciesReady)]


def test_installs_before_the_start(play: Play) -> None:
    """Each command runs in a throwaway of its own; then the instance starts, with the folder's digest."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        started = around.runtime.started
        async with running(around) as machine:
            instance = await machine.deploy()
            assert started[:2] == [INSTALLER, INSTALLER]
            (ready,) = ready_events(machine)
            assert not ready.is_cached
            state = machine.instance(instance)
            assert state is not None
            assert state.dependencies == ready.digest
            assert around.dependencies.filled[ready.digest] == {"requirements.txt": b"x==1\n"}
            assert around.runtime.inspect(INSTALLER) is None

    play(scenario)


def test_a_restart_finds_it_installed(play: Play) -> None:
    """The same release in the same image is installed once."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.RestartDeployment(subject_id="d1"))
            await machine.ready_instance("d1", generation=2)
            first, second = ready_events(machine)
            assert (second.digest, first.is_cached, second.is_cached) == (first.digest, False, True)
            assert around.runtime.started.count(throwaway_name("d1", 2)) == 0

    play(scenario)


def test_nothing_is_recorded_where_nothing_is_needed(play: Play) -> None:
    """An agent without dependencies costs no event and no look into the folders."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy()
            assert "deployment.dependencies_ready" not in machine.types("deployment/d1")

    play(scenario)


def test_a_failing_command_ends_the_rollout(play: Play) -> None:
    """With the command's name, its exit code and what it printed; nothing of it is kept."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        around.runtime.install_exit_code = 3

        def speak(method: str, name: str) -> None:
            if method == "start" and name == INSTALLER:
                around.runtime.write_output(name, b"no matching distribution\n")

        around.runtime.before_call = speak
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            end = await end_of(machine)
            assert (end.is_success, end.step, end.code) == (False, "install", "INSTALL_FAILED")
            assert end.message == "pip ended with code 3"
            assert (end.evidence.exit_code, end.evidence.log_tail) == (3, "no matching distribution\n")
            assert not around.dependencies.filled
            assert not around.dependencies.workplaces
            assert around.runtime.inspect(INSTALLER) is None

    play(scenario)


def test_an_engine_that_is_away_is_asked_again(play: Play) -> None:
    """Silence is no outcome: the installation is repeated until the engine answers."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        hits: list[str] = []

        def fail_twice(method: str, name: str) -> None:
            if method == "create" and name == INSTALLER and len(hits) < 2:
                hits.append(name)
                raise RuntimeUnavailable("away")

        around.runtime.before_call = fail_twice
        async with running(around) as machine:
            await machine.deploy()
            assert len(hits) == 2
            assert len(ready_events(machine)) == 1

    play(scenario)


def test_what_a_crash_left_is_removed_first(play: Play) -> None:
    """A throwaway of an earlier attempt does not count: the command is run again from the start."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        around.runtime.create(installer_left_behind())
        async with running(around) as machine:
            await machine.deploy()
            assert around.runtime.started[:2] == [INSTALLER, INSTALLER]

    play(scenario)


def test_an_installer_that_hangs_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time the installation fails, saying how long it was given."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        monkeypatch.setattr(around.runtime, "exit", lambda *_args, **_more: None)
        async with running(around) as machine:
            machine.installs._limit_seconds = 0.05
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            end = await end_of(machine)
            assert end.message == "pip did not end within 0.05 s"

    play(scenario)


def test_an_update_does_not_wait_for_the_installer(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that nobody wants any more is ended, so that the next rollout can begin."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        end_installer = around.runtime.exit
        monkeypatch.setattr(
            around.runtime, "exit", lambda name, code: end_installer(name, code) if name != INSTALLER else None
        )
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            await eventually(lambda: INSTALLER in around.runtime.started, what="the first installer")
            await machine.give(c.UpdateDeployment(subject_id="d1", spec=SPEC))
            await machine.ready_instance("d1", generation=2)
            assert around.runtime.inspect(INSTALLER) is None

    play(scenario)


def test_what_installs_is_no_orphan_while_it_is_wanted(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The observer leaves an installer alone as long as its rollout waits for it, and then no more."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        monkeypatch.setattr(around.runtime, "exit", lambda *_args, **_more: None)
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            await eventually(lambda: INSTALLER in around.runtime.started, what="the installer")
            await machine.observer.resync()
            assert machine.instance(f"orphan-{INSTALLER}") is None
            stray = installer_left_behind("ploinky-gone-1-install")
            await asyncio.to_thread(around.runtime.create, stray)
            await machine.observer.resync()
            assert machine.instance("orphan-ploinky-gone-1-install") is not None

    play(scenario)


def test_installers_see_where_packages_come_from_and_no_secrets_show(play: Play) -> None:
    """Settings of pip and npm reach the installer, other variables do not, and evidence holds no secret value."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        around.runtime.install_exit_code = 1
        version = around.secrets.put(b"http://user:hunter2@127.0.0.1/simple")
        other = around.secrets.put(b"not-for-installers")
        seen: list[InstanceSpec] = []
        create = around.runtime.create

        def note(spec: InstanceSpec) -> str:
            seen.append(spec)
            engine_id = create(spec)
            around.runtime.write_output(spec.name, b"Looking in http://user:hunter2@127.0.0.1/simple\n")
            return engine_id

        around.runtime.create = note  # type: ignore[method-assign]  # to look at what is asked for
        async with running(around) as machine:
            spec = msgspec.structs.replace(SPEC, secrets={"PIP_INDEX_URL": version, "TOKEN": other})
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=spec))
            end = await end_of(machine)
            assert dict(seen[0].environment) == {"PIP_INDEX_URL": "http://user:hunter2@127.0.0.1/simple"}
            assert end.evidence.log_tail == "Looking in ***\n"

    play(scenario)


def installer_left_behind(name: str = INSTALLER) -> InstanceSpec:
    return InstanceSpec(
        name=name,
        labels={LABEL_JOURNAL: SITE.journal_id},
        image="",
        command=("old",),
        environment={},
        code_directory="/old",
        agentcore_directory="/old",
        queue_directory="",
        log_path="/old.log",
        install_place=InstallPlace.AGENT,
    )
