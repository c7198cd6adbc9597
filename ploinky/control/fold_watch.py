"""Wait until the views show something."""

import asyncio
from collections.abc import Callable, Sequence

from ploinky.journal.codec import Recorded


class FoldWatch:
    """Wakes after every committed batch."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._changed = asyncio.Event()

    def follow(self, _batch: Sequence[Recorded]) -> None:
        """Wake whoever waits."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], limit_seconds: float) -> bool:
        """Wait until `condition` holds after some commit; False when the limit passed first."""
        try:
            async with asyncio.timeout(limit_seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True
