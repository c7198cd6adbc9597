"""Polled repositories are asked when it is time, and only a branch that moved is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ploinky.control.pushes import Pushes
from ploinky.control.repository_polls import LONGEST_BACKOFF_SECONDS, RepositoryPolls
from ploinky.domain import commands as c
from ploinky.domain.deployment import Desired
from ploinky.domain.repository import Repository
from ploinky.domain.specs import AccessKind, SourceAccess
from ploinky.ports.sources import Credentials
from tests.control.machine import ANYBODY, URL, Machine, Surroundings
from tests.waiting import eventually

FILES = {"sample/manifest.json": b'{"access": "public"}'}
POLL_SECONDS = 60


class Looking:
    """A machine with a polled repository and a deployment that follows it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.around = machine.around
        core = machine.core
        self.polls = RepositoryPolls(
            core.views, Pushes(core.views, core.commander), machine.world, machine.around.clock
        )

    async def look(self, after_seconds: float = POLL_SECONDS) -> None:
        self.around.clock.advance(after_seconds)
        await self.polls.look()

    def commit(self, text: str, branch: str = "main") -> str:
        return self.around.sources.commit(URL, {**FILES, "text": text.encode()}, branch)

    @property
    def repository(self) -> Repository:
        found = self.machine.views.repositories.get("agents")
        assert found is not None
        return found

    def commit_of(self, deployment_id: str = "d1") -> str:
        row = self.machine.views.deployments.rows[deployment_id].state
        return row.active_release.commit if row.active_release else ""

    def events(self, kind: str) -> int:
        return sum(record.type == kind for record in self.around.contents.records)


@asynccontextmanager
async def looking(directory: Path) -> AsyncIterator[Looking]:
    machine = Machine(Surroundings(directory))
    await machine.start()
    try:
        await machine.give(c.AddRepository(subject_id="agents", url=URL, poll_seconds=POLL_SECONDS))
        await machine.deploy()
        yield Looking(machine)
    finally:
        await machine.close()


def run(directory: Path, check: Callable[[Looking], Awaitable[None]]) -> None:
    async def main() -> None:
        async with looking(directory) as at:
            await check(at)

    asyncio.run(main())


def test_a_new_commit_is_deployed(tmp_path: Path) -> None:
    """The deployment is updated by the observer, and the push is on record; looking again does nothing."""

    async def check(at: Looking) -> None:
        await at.look()
        commit = at.commit("two")
        await at.look()
        await at.machine.ready_instance("d1", 2)
        assert at.commit_of() == commit
        assert dict(at.repository.heads) == {"HEAD": commit}
        pushed = at.events("repository.pushed")
        await at.look()
        await at.look()
        assert (at.events("repository.pushed"), at.events("deployment.updated")) == (pushed, 1)

    run(tmp_path, check)


def test_what_serves_the_newest_commit_is_left_alone(tmp_path: Path) -> None:
    """The first look finds what was deployed a moment before."""

    async def check(at: Looking) -> None:
        await at.look()
        assert (at.events("repository.pushed"), at.events("deployment.updated")) == (1, 0)

    run(tmp_path, check)


def test_nothing_is_asked_before_it_is_time(tmp_path: Path) -> None:
    """Between two looks lie at least the seconds asked for."""

    async def check(at: Looking) -> None:
        await at.look()
        at.commit("two")
        await at.look(POLL_SECONDS - 1)
        assert at.events("deployment.updated") == 0
        await at.look(1)
        assert at.events("deployment.updated") == 1

    run(tmp_path, check)


def test_a_server_that_fails_is_asked_less_often(tmp_path: Path) -> None:
    """The pause doubles up to an hour, and is the usual one again after an answer."""

    async def check(at: Looking) -> None:
        at.around.sources.is_away = True
        for count in range(12):
            await at.look(min(POLL_SECONDS * 2**count, LONGEST_BACKOFF_SECONDS))
        at.around.sources.is_away = False
        at.commit("two")
        await at.look(LONGEST_BACKOFF_SECONDS - 1)
        assert at.events("deployment.updated") == 0
        await at.look(1)
        assert at.events("deployment.updated") == 1
        await at.machine.ready_instance("d1", 2)
        at.commit("three")
        await at.look(POLL_SECONDS)
        assert at.events("deployment.updated") == 2

    run(tmp_path, check)


def test_a_private_repository_is_asked_with_its_credentials(tmp_path: Path) -> None:
    """As a fetch would be."""

    async def check(at: Looking) -> None:
        at.around.sources.needed[URL] = Credentials("user", "word")
        version = at.around.secrets.put(b"word")
        access = SourceAccess(kind=AccessKind.BASIC, secret=version, username="user")
        await at.machine.give(c.AddRepository(subject_id="agents", url=URL, access=access))
        await at.look()
        assert dict(at.repository.heads) == {"HEAD": at.commit_of()}

    run(tmp_path, check)


def test_a_broken_commit_is_tried_once(tmp_path: Path) -> None:
    """What cannot be deployed is not deployed again at each look."""

    async def check(at: Looking) -> None:
        await at.look()
        at.around.sources.commit(URL, {"sample/manifest.json": b"{"})
        await at.look()
        await eventually(lambda: at.events("deployment.rollout_failed") == 1, what="the failed rollout")
        await at.look()
        assert at.events("deployment.updated") == 1

    run(tmp_path, check)


def test_a_stopping_server_begins_nothing(tmp_path: Path) -> None:
    """Once stopped, a branch that moved is left to the next start, and the loop ends."""

    async def check(at: Looking) -> None:
        await at.look()
        at.commit("two")
        at.polls.stop()
        await at.look()
        await at.polls.run()
        assert at.events("deployment.updated") == 0

    run(tmp_path, check)


def test_what_nobody_follows_is_not_asked(tmp_path: Path) -> None:
    """A stopped deployment follows nothing; neither does a repository that is polled no more."""

    async def check(at: Looking) -> None:
        await at.machine.give(c.StopDeployment(subject_id="d1"))
        at.commit("two")
        await at.look()
        assert at.repository.heads == {}
        assert at.machine.views.deployments.rows["d1"].state.desired is Desired.STOPPED
        await at.machine.give(c.AddRepository(subject_id="agents", url=URL, poll_seconds=0))
        await at.machine.core.commander.execute(c.StartDeployment(subject_id="d1"), ANYBODY)
        await at.look()
        assert at.repository.heads == {}

    run(tmp_path, check)
