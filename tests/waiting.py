"""Wait for a condition with a deadline: the only place in the tests that lets time pass."""

import asyncio
import time
from collections.abc import Callable

POLL_INTERVAL_SECONDS = 0.01


def wait_until(condition: Callable[[], object], *, timeout_seconds: float = 10, what: str = "the condition") -> None:
    """Return as soon as `condition()` is true. **Raises** `AssertionError` naming `what` after the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not hold within {timeout_seconds} s"
        time.sleep(POLL_INTERVAL_SECONDS)


async def eventually(
    condition: Callable[[], object], *, timeout_seconds: float = 10, what: str = "the condition"
) -> None:
    """Do the same on an event loop, letting other tasks run between the looks."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not hold within {timeout_seconds} s"
        await asyncio.sleep(POLL_INTERVAL_SECONDS)
