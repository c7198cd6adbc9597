"""Lead a WebSocket through, message by message, and its end as it was."""

import asyncio
from collections.abc import Awaitable

import aiohttp
import msgspec

from ploinky.gateway.http import Message, Receive, Send, answer

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
PING_SECONDS = 30.0
"""Between two pings to an agent that says nothing; callers are pinged by the server."""
CLOSE_LIMIT_SECONDS = 5.0
REASON_LIMIT_BYTES = 123
NORMAL, GOING_AWAY, NO_CODE, BROKEN = 1000, 1001, 1005, 1011


class Close(msgspec.Struct, frozen=True):
    """How one side ended it."""

    code: int
    reason: str = ""


async def pass_messages(receive: Receive, send: Send, agent: aiohttp.ClientWebSocketResponse) -> None:
    """Pass messages both ways until one side ends it, then end the other in the same way.

    Each direction reads the next message when the last one was taken. Cut short by a cancellation, it tells both that
    the instance goes away.
    """
    up = asyncio.get_running_loop().create_task(_from_caller(receive, agent))
    down = asyncio.get_running_loop().create_task(_from_agent(agent, send))
    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            await _close_agent(agent, _result(up, Close(GOING_AWAY)))
        else:
            await _close_caller(send, _result(down, Close(BROKEN)))
    except asyncio.CancelledError:
        up.cancel()
        down.cancel()
        await asyncio.gather(_close_caller(send, Close(GOING_AWAY)), _close_agent(agent, Close(GOING_AWAY)))
        raise
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        await _close_agent(agent, Close(GOING_AWAY))


async def refuse_websocket(send: Send, status: int, body: bytes, request_id: str) -> None:
    """Answer a handshake with an HTTP error instead."""

    async def send_denial(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await answer(send_denial, status, body, [(b"x-request-id", request_id.encode())])


async def _from_caller(receive: Receive, agent: aiohttp.ClientWebSocketResponse) -> Close:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code", NO_CODE)
            # The server does not tell a lost connection from an end without a code, so it is no normal end.
            return Close(GOING_AWAY if code == NO_CODE else code, message.get("reason") or "")
        if message["type"] != "websocket.receive":
            continue
        if message.get("text") is not None:
            await agent.send_str(message["text"])
        else:
            await agent.send_bytes(message["bytes"])


async def _from_agent(agent: aiohttp.ClientWebSocketResponse, send: Send) -> Close:
    while True:
        message = await agent.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                await send({"type": "websocket.send", "text": message.data})
            case aiohttp.WSMsgType.BINARY:
                await send({"type": "websocket.send", "bytes": message.data})
            case aiohttp.WSMsgType.CLOSE:
                return Close(message.data or NO_CODE, message.extra or "")
            case _:
                return Close(agent.close_code or BROKEN)


def _result(task: "asyncio.Task[Close]", otherwise: Close) -> Close:
    """Return how a side ended it; a side that broke said nothing."""
    return otherwise if task.cancelled() or task.exception() is not None else task.result()


async def _close_caller(send: Send, close: Close) -> None:
    code = _sendable(close.code, BROKEN)
    await _quietly(send({"type": "websocket.close", "code": code, "reason": _short(close.reason).decode()}))


async def _close_agent(agent: aiohttp.ClientWebSocketResponse, close: Close) -> None:
    if not agent.closed:
        await _quietly(agent.close(code=_sendable(close.code, GOING_AWAY), message=_short(close.reason)))


async def _quietly(closing: Awaitable[object]) -> None:
    """Say good-bye to somebody who may have gone, or may not listen."""
    try:
        async with asyncio.timeout(CLOSE_LIMIT_SECONDS):
            await closing
    except (OSError, RuntimeError, aiohttp.ClientError, TimeoutError):
        return


def _sendable(code: int, otherwise: int) -> int:
    """Return a code that may stand in a close frame. **Source**: RFC 6455, 7.4."""
    if code == NO_CODE:
        return NORMAL
    is_allowed = code in {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014} or 3000 <= code < 5000
    return code if is_allowed else otherwise


def _short(reason: str) -> bytes:
    return reason.encode()[:REASON_LIMIT_BYTES].decode(errors="ignore").encode()
