"""The threads that blocking work runs in, and no others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ENGINE_THREADS = 8
SLOW_THREADS = 2

Result = TypeVar("Result")


class Pools:
    """Two bounded pools: one for engines and sources, one for other slow things (blobs, copies, hashing)."""

    def __init__(self) -> None:
        """Start no thread before the first use."""
        self._engine = ThreadPoolExecutor(ENGINE_THREADS, "engine")
        self._slow = ThreadPoolExecutor(SLOW_THREADS, "slow")

    async def engine(self, function: Callable[[], Result]) -> Result:
        """Run what may wait for an engine or a git server."""
        return await asyncio.get_running_loop().run_in_executor(self._engine, function)

    async def slow(self, function: Callable[[], Result]) -> Result:
        """Run what reads or writes more than a little."""
        return await asyncio.get_running_loop().run_in_executor(self._slow, function)

    def close(self) -> None:
        """End the threads without waiting for what runs in them: every effect is repeatable."""
        self._engine.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
