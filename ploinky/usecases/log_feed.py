"""What instances print: the newest lines of one, and a live stream that goes on from generation to generation."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple

from ploinky.control.pools import FOLLOWER_THREADS, Pools
from ploinky.control.runtimes import Runtimes
from ploinky.domain.errors import DeploymentNotFound, InstanceNotFound, Overloaded, PloinkyError
from ploinky.domain.ids import instance_id as id_of_instance
from ploinky.domain.instance import Instance, Status
from ploinky.ports.logs import LogStore
from ploinky.ports.runtime import FOLLOW_TAIL_LIMIT_LINES, LogStream
from ploinky.usecases.log_lines import Lines
from ploinky.views.views import Views

LOOK_SECONDS = 0.25
"""Between two looks at whether another generation serves, the server stops, or nobody listens any more."""
QUIET_LIMIT_SECONDS = 15.0
ENGINE_PAUSE_SECONDS = 2.0
CLOSE_LIMIT_SECONDS = 1.0


class Wish(NamedTuple):
    """Whose output: None = of the generation that serves, and of its successors; the first instance."""

    generation: int | None = None
    number: int | None = None


class Piece(NamedTuple):
    """Something to tell a follower: lines of an instance, a remark about it, or neither: nothing came for a while."""

    instance_id: str = ""
    lines: tuple[str, ...] = ()
    remark: str = ""


class LogFeed:
    """Outputs, for people. Each follower has at most one thread, and there are only so many of them."""

    def __init__(self, views: Views, runtimes: Runtimes, logs: LogStore, pools: Pools) -> None:
        """Read from engines what runs, and from the store what is gone."""
        self._views = views
        self._runtimes = runtimes
        self._logs = logs
        self._pools = pools
        self._is_closed = False
        self.follower_count = 0

    def close(self) -> None:
        """End all streams: the server is stopping."""
        self._is_closed = True

    async def newest(self, deployment_id: str, wish: Wish, tail_lines: int) -> bytes:
        """Return the newest lines of an instance, also of one that is gone; empty when nothing ever ran."""
        key = self._find(deployment_id, wish)
        if key is None:
            return b""
        instance = self._views.instances.get(key)
        runtime = self._runtimes.by_kind.get(instance.runtime) if instance is not None else None

        def read() -> bytes:
            live = runtime.logs(instance.name, tail_lines) if runtime and instance else b""
            return live or self._logs.tail(key, tail_lines)

        return await self._pools.engine(read)

    def follow(self, deployment_id: str, wish: Wish, tail_lines: int) -> AsyncIterator[Piece]:
        """Yield what an instance prints, from its newest lines on, and then what its successors print.

        Ends when the deployment is gone, when the server stops, and when what was named has ended. Raises
        `DeploymentNotFound`, `InstanceNotFound`, and `Overloaded` at once when too many are listening.
        """
        if self._find(deployment_id, wish) is None and wish.generation is not None:
            raise InstanceNotFound(deployment=deployment_id)
        if self.follower_count >= FOLLOWER_THREADS:
            raise Overloaded(f"{FOLLOWER_THREADS} outputs are followed already, the most allowed")
        return self._follow(deployment_id, wish, tail_lines)

    async def _follow(self, deployment_id: str, wish: Wish, tail_lines: int) -> AsyncGenerator[Piece, None]:
        self.follower_count += 1
        try:
            followed = ""
            while not self._is_closed and deployment_id in self._views.deployments.rows:
                key = self._find(deployment_id, wish)
                if key is None or key == followed:
                    if followed and wish.generation is not None:
                        return
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                if followed:
                    yield Piece(key, remark=f"{followed} is over; {key} goes on")
                    tail_lines = FOLLOW_TAIL_LIMIT_LINES  # everything: it is new
                followed = key
                async with contextlib.aclosing(self._one(deployment_id, key, wish, tail_lines)) as pieces:
                    async for piece in pieces:
                        if piece.remark:  # the engine went away: go on with what comes once it is back
                            followed, tail_lines = "", 0
                        yield piece
        finally:
            self.follower_count -= 1

    async def _one(self, deployment_id: str, key: str, wish: Wish, tail_lines: int) -> AsyncGenerator[Piece, None]:
        """Yield the output of one instance until it ends or another one takes over."""
        lines = Lines()
        try:
            async with contextlib.aclosing(self._chunks(deployment_id, key, wish, tail_lines)) as chunks:
                async for chunk in chunks:
                    if chunk is None:
                        yield Piece(key)
                    elif found := lines.split(chunk):
                        yield Piece(key, found)
        except PloinkyError as error:
            yield Piece(key, remark=f"the output cannot be read: {error.message}")
            await asyncio.sleep(ENGINE_PAUSE_SECONDS)
        if rest := lines.rest():
            yield Piece(key, rest)

    async def _chunks(
        self, deployment_id: str, key: str, wish: Wish, tail_lines: int
    ) -> AsyncGenerator[bytes | None, None]:
        instance = self._views.instances.get(key)
        runtime = self._runtimes.by_kind.get(instance.runtime) if instance is not None else None
        if instance is None or runtime is None or instance.status in {Status.REMOVED, Status.ABSENT}:
            yield await self._pools.slow(lambda: self._logs.tail(key, tail_lines))
            return
        while instance.status is Status.CREATED:
            if self._is_replaced(deployment_id, key, wish):
                return
            await asyncio.sleep(LOOK_SECONDS)
            instance = self._views.instances.get(key) or Instance(status=Status.REMOVED)
        name, is_empty = instance.name, True
        stream = await self._open(lambda: runtime.follow(name, tail_lines))
        try:
            async with contextlib.aclosing(self._read(stream, deployment_id, key, wish)) as chunks:
                async for chunk in chunks:
                    is_empty &= chunk is None
                    yield chunk
        finally:
            stream.close()
        if is_empty:  # the engine has nothing of it any more
            yield await self._pools.slow(lambda: self._logs.tail(key, tail_lines))

    async def _open(self, opening: Callable[[], LogStream]) -> LogStream:
        """Open a stream; one that is there only after its follower has gone is closed again."""
        opened = asyncio.ensure_future(self._pools.follow(opening))
        try:
            return await asyncio.shield(opened)
        except asyncio.CancelledError:
            opened.add_done_callback(_close_late)
            raise

    async def _read(
        self, stream: LogStream, deployment_id: str, key: str, wish: Wish
    ) -> AsyncGenerator[bytes | None, None]:
        quiet_seconds = 0.0
        while True:
            reading = asyncio.ensure_future(self._pools.follow(stream.read))
            try:
                while not (await asyncio.wait({reading}, timeout=LOOK_SECONDS))[0]:
                    if self._is_replaced(deployment_id, key, wish):
                        return
                    quiet_seconds += LOOK_SECONDS
                    if quiet_seconds >= QUIET_LIMIT_SECONDS:
                        quiet_seconds = 0.0
                        yield None
            finally:
                if not reading.done():
                    stream.close()  # which ends the read, and so frees its thread
                    await asyncio.wait({reading}, timeout=CLOSE_LIMIT_SECONDS)
            quiet_seconds = 0.0
            chunk = reading.result()
            if not chunk:
                return
            yield chunk
            if self._is_closed:
                return

    def _is_replaced(self, deployment_id: str, key: str, wish: Wish) -> bool:
        if self._is_closed or deployment_id not in self._views.deployments.rows:
            return True
        return self._find(deployment_id, wish) not in {key, None}

    def _find(self, deployment_id: str, wish: Wish) -> str | None:
        """Choose an instance: of the generation that serves, else the newest. Raises `DeploymentNotFound`."""
        row = self._views.deployments.rows.get(deployment_id)
        if row is None:
            raise DeploymentNotFound(deployment=deployment_id)
        if wish.generation is not None and not 0 < wish.generation <= row.state.last_generation:
            return None
        if wish.generation is not None:
            # Perhaps long gone; what it printed is kept.
            return id_of_instance(deployment_id, wish.generation, wish.number or 0)
        found = [
            (instance.generation == row.state.active_generation, instance.generation, -instance.number, key)
            for key, instance in self._views.instances_of(deployment_id)
            if wish.number is None or instance.number == wish.number
        ]
        return max(found)[-1] if found else None


def _close_late(opened: "asyncio.Future[LogStream]") -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
