"""Bring open intents about: one effect at a time per stream, repeated until an outcome is on record."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ploinky.control.commander import Commander
from ploinky.domain.commands import Command
from ploinky.domain.errors import PloinkyError
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.ports.failpoints import reach
from ploinky.views.intents import Intent, IntentKind
from ploinky.views.views import Views

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0

Effect = Callable[[Intent], Awaitable[Command]]
"""Bring an intent about and return its outcome as a command.

Safe to repeat. Raises a retryable `PloinkyError` when there is no outcome yet; any other error is a defect, and is
retried as well, since the intent stays open.
"""


class Executor:
    """Run the effects of all open intents."""

    def __init__(self, views: Views, commander: Commander, effects: Mapping[IntentKind, Effect]) -> None:
        """Take one effect for each kind of intent."""
        self._views = views
        self._commander = commander
        self._effects = effects
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._is_awake = False

    def wake(self) -> None:
        """Start on all intents that are open, and on each that opens from here on."""
        self._is_awake = True
        for key in list(self._views.intents.by_stream):
            self._consider(key)

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Start on what a committed batch opened."""
        if self._is_awake:
            for recorded in batch:
                if recorded.kind in {"deployment", "instance"}:
                    self._consider((recorded.kind, recorded.subject_id))

    async def settle(self) -> None:
        """Wait until no effect is running."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Stop; what is half done stays an open intent."""
        self._is_awake = False
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _consider(self, key: tuple[str, str]) -> None:
        if key in self._views.intents.by_stream and key not in self._running:
            task = asyncio.get_running_loop().create_task(self._run(key))
            self._running[key] = task
            task.add_done_callback(lambda _: self._finished(key))

    def _finished(self, key: tuple[str, str]) -> None:
        self._running.pop(key, None)
        if self._is_awake:
            # An intent that opened while the last effect was ending.
            self._consider(key)

    async def _run(self, key: tuple[str, str]) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while (intent := self._views.intents.by_stream.get(key)) is not None:
            if await self._attempt(intent):
                pause_seconds = FIRST_PAUSE_SECONDS
            if self._views.intents.by_stream.get(key) == intent:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, intent: Intent) -> bool:
        context = Context("executor", f"operation-{intent.operation}", intent.operation)
        try:
            reach(f"executor.before.{intent.kind}")
            outcome = await self._effects[intent.kind](intent)
            reach(f"executor.after.{intent.kind}")
            await self._commander.execute(outcome, context, is_urgent=True)
            reach(f"executor.recorded.{intent.kind}")
        except PloinkyError as error:
            log.warning("%s of %s has no outcome yet: %s", intent.kind, intent.subject_id, error.message)
            return False
        except Exception:
            # A defect must not take the other streams down; the intent stays open and shows.
            log.exception("%s of %s failed unexpectedly", intent.kind, intent.subject_id)
            return False
        return True
