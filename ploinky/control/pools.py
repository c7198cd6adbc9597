"""The threads that blocking work runs in, and no others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ploinky.domain.errors import Overloaded

ENGINE_THREADS = 8
SLOW_THREADS = 2
EXEC_THREADS = 4
"""Commands that people run inside instances at the same time; one more is refused, not queued."""
FOLLOWER_THREADS = 32
"""One for each output that somebody follows live: reading an engine's stream blocks, for as long as nothing comes."""

Result = TypeVar("Result")


class Pools:
    """Bounded pools: engines and sources, other slow things (blobs, copies, hashing), people's commands, followers."""

    def __init__(self) -> None:
        """Start no thread before the first use."""
        self._engine = ThreadPoolExecutor(ENGINE_THREADS, "engine")
        self._slow = ThreadPoolExecutor(SLOW_THREADS, "slow")
        self._exec = ThreadPoolExecutor(EXEC_THREADS, "exec")
        self._followers = ThreadPoolExecutor(FOLLOWER_THREADS, "follower")
        self.exec_count = 0
        """People's commands under way."""

    async def engine(self, function: Callable[[], Result]) -> Result:
        """Run what may wait for an engine or a git server."""
        return await asyncio.get_running_loop().run_in_executor(self._engine, function)

    async def slow(self, function: Callable[[], Result]) -> Result:
        """Run what reads or writes more than a little."""
        return await asyncio.get_running_loop().run_in_executor(self._slow, function)

    async def follow(self, function: Callable[[], Result]) -> Result:
        """Run what waits for an output to grow."""
        return await asyncio.get_running_loop().run_in_executor(self._followers, function)

    async def exec(self, function: Callable[[], Result]) -> Result:
        """Run what waits for a person's command inside an instance. Raises `Overloaded` when too many do."""
        if self.exec_count >= EXEC_THREADS:
            raise Overloaded(f"{EXEC_THREADS} commands run inside instances already, the most allowed")
        self.exec_count += 1
        # Not until the caller goes away but until the thread is free.
        running = asyncio.get_running_loop().run_in_executor(self._exec, function)
        running.add_done_callback(self._exec_done)
        return await asyncio.shield(running)

    def _exec_done(self, running: "asyncio.Future[Result]") -> None:
        self.exec_count -= 1
        if not running.cancelled():
            running.exception()  # nobody may be left to take it

    def close(self) -> None:
        """End the threads without waiting for what runs in them: every effect is repeatable."""
        self._engine.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        self._exec.shutdown(wait=False, cancel_futures=True)
        self._followers.shutdown(wait=False, cancel_futures=True)
