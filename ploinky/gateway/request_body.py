"""A request's body on its way through: piece by piece, never gathered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ploinky.gateway.http import ClientGone, Receive


class RequestBody:
    """What the caller sends. Iterate once; the next piece is read when the agent has taken the last one."""

    def __init__(self, receive: Receive, deadline: asyncio.Timeout, limit_seconds: float) -> None:
        """Put the deadline off with each piece: a long upload is no silence of the agent."""
        self._receive = receive
        self._deadline = deadline
        self._limit_seconds = limit_seconds
        self._complete = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces. Raises `ClientGone` when the caller hangs up before the end."""
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            with contextlib.suppress(RuntimeError):  # The answer has come before the end of the body.
                self._deadline.reschedule(loop.time() + self._limit_seconds)
            piece: bytes = message.get("body", b"")
            if piece:
                yield piece
            if not message.get("more_body", False):
                self._complete.set()
                return

    async def skip(self) -> None:
        """Read the end of a body that is empty."""
        async for _ in self:
            pass

    async def gone(self) -> None:
        """Return once the caller has hung up; noticed only when the whole body has been read."""
        await self._complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
