"""Let the policies look at what changed, and at what is due."""

import asyncio
from collections.abc import Sequence

from ploinky.control.commander import Commander
from ploinky.domain import events as e
from ploinky.domain.errors import PloinkyError, Unavailable
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Answer, Context
from ploinky.policies.reaction import all_subjects, look, subjects_of
from ploinky.ports.clock import Clock
from ploinky.ports.failpoints import reach
from ploinky.views.due_times import Subject
from ploinky.views.views import Views

SHORTEST_SLEEP_SECONDS = 0.01
LONGEST_SLEEP_SECONDS = 1.0
"""The clock may be set; so nobody sleeps for long."""


class Reactor:
    """Turn committed events and due times into commands."""

    def __init__(self, views: Views, commander: Commander, clock: Clock) -> None:
        """Start asleep: nothing is looked at before `wake`."""
        self._views = views
        self._commander = commander
        self._clock = clock
        self._is_awake = False
        self._refused: set[Subject] = set()
        """What has to be looked at again, since a full disk or queue kept its commands out."""

    def wake(self) -> None:
        """Look at everything alive once, and react from here on."""
        self._is_awake = True
        for subject in all_subjects(self._views):
            self._look(subject, Context("policy", "start"))

    def sleep(self) -> None:
        """React no more: the server is stopping."""
        self._is_awake = False

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Look at what a committed batch touched."""
        if not self._is_awake:
            return
        _pass_places(batch)
        for subject, recorded in subjects_of(batch, self._views).items():
            self._look(subject, Context("policy", recorded.correlation, recorded.position))

    async def run_timers(self) -> None:
        """Look at what is due, for ever."""
        while True:
            now = self._clock.now()
            if self._is_awake:
                refused, self._refused = self._refused, set()
                for subject in self._views.due.take(now) | refused:
                    self._look(subject, Context("timer", "timer"))
            next_at = self._views.due.next_at()
            wait = (next_at - now).total_seconds() if next_at else LONGEST_SLEEP_SECONDS
            await asyncio.sleep(min(max(wait, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS))

    def _look(self, subject: Subject, context: Context) -> None:
        for command in look(subject, self._views, self._clock.now()):
            self._commander.give(command, context, lambda answer: self._heard(subject, answer))

    def _heard(self, subject: Subject, answer: Answer | PloinkyError) -> None:
        """Look again soon when a command could not be taken; any other refusal says that it was not needed."""
        if isinstance(answer, Unavailable):
            self._refused.add(subject)


def _pass_places(batch: Sequence[Recorded]) -> None:
    for recorded in batch:
        match recorded.event:
            case e.DeploymentSwitched():
                reach("rollout.switched")
            case e.DeploymentReverted():
                reach("rollout.reverted")
            case e.RolloutSucceeded():
                reach("rollout.succeeded")
            case e.RolloutFailed():
                reach("rollout.failed")
