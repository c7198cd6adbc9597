"""Look for new commits of repositories that nobody tells us about."""

import asyncio
import logging
from collections.abc import Mapping

from ploinky.control.pushes import Pushes
from ploinky.control.source_access import repository_source
from ploinky.control.world import World
from ploinky.domain.commands import RecordPush
from ploinky.domain.errors import PloinkyError
from ploinky.domain.repository import Repository
from ploinky.journal.dispatcher import Context
from ploinky.policies.pushes import branch_of, followers, is_behind
from ploinky.ports.clock import Clock
from ploinky.views.views import Views

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
POLLS_AT_ONCE = 2
"""Of the threads that engines and git share."""
LONGEST_BACKOFF_SECONDS = 3_600.0
ORIGIN = "poll"
CONTEXT = Context("observer", ORIGIN)


class RepositoryPolls:
    """Ask the servers of polled repositories for their branches when it is time.

    Only a branch that moved becomes an event: looking leaves no trace. What is due is not kept: after a start every
    repository is looked at once.
    """

    def __init__(self, views: Views, pushes: Pushes, world: World, clock: Clock) -> None:
        """Take where repositories are known and asked."""
        self._views = views
        self._pushes = pushes
        self._world = world
        self._clock = clock
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._is_stopped = False

    def stop(self) -> None:
        """Look no more: the server is stopping, and nothing new should begin."""
        self._is_stopped = True

    async def run(self) -> None:
        """Look at what is due, until stopped."""
        while not self._is_stopped:
            await self.look()
            await asyncio.sleep(TICK_SECONDS)

    async def look(self) -> None:
        """Ask about all repositories that are due now, a few at a time."""
        now = self._clock.monotonic()
        polled = {name: row.state for name, row in self._views.repositories.items() if row.state.poll_seconds}
        for name in self._due.keys() - polled.keys():
            del self._due[name]
            self._failures.pop(name, None)
        due = [name for name in polled if self._due.get(name, now) <= now]
        for start in range(0, len(due), POLLS_AT_ONCE):
            await asyncio.gather(*(self._poll(name, polled[name]) for name in due[start : start + POLLS_AT_ONCE]))

    async def _poll(self, name: str, repository: Repository) -> None:
        try:
            await self._ask(name, repository)
            self._failures.pop(name, None)
        except PloinkyError as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            if failures == 1:
                log.warning("repository %s cannot be looked at: %s", name, error.message)
        except Exception:
            # A defect with one repository must not stop the looks at the others.
            self._failures[name] = self._failures.get(name, 0) + 1
            log.exception("the look at repository %s failed unexpectedly", name)
        self._due[name] = self._clock.monotonic() + self._pause_seconds(name, repository)

    def _pause_seconds(self, name: str, repository: Repository) -> float:
        longest = max(LONGEST_BACKOFF_SECONDS, repository.poll_seconds)
        return float(min(repository.poll_seconds * 2 ** min(self._failures.get(name, 0), 16), longest))

    async def _ask(self, name: str, repository: Repository) -> None:
        if not followers(repository.url, self._views):
            return

        def work() -> Mapping[str, str]:
            return self._world.sources.heads(repository_source(repository, self._world.secrets))

        heads = await self._world.pools.engine(work)
        following = followers(repository.url, self._views)
        for branch in sorted({str(branch_of(state)) for state in following.values()} & heads.keys()):
            commit = heads[branch]
            if self._is_stopped or repository.heads.get(branch) == commit:
                continue
            behind = [
                key for key, state in following.items() if branch_of(state) == branch and is_behind(state, commit)
            ]
            push = RecordPush(subject_id=name, origin=ORIGIN, branch=branch, commit=commit)
            await self._pushes.tell([name], push, behind, CONTEXT)
