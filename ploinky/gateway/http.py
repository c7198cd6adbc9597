"""Read requests from ASGI and write answers to it, bounded."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ploinky.domain.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

BODY_LIMIT_BYTES = 64 * 1024 * 1024


class ClientGone(Exception):
    """The caller has gone before the request was complete."""


def header(headers: Headers, name: bytes) -> str:
    """Return a header's value, or an empty text. `name` is in lower case."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""


async def read_body(receive: Receive) -> bytes:
    """Read a whole body. Raises `BodyTooLarge` above the limit, `ClientGone` when the caller hung up."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts, size = [body], len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise BodyTooLarge(limit_bytes=BODY_LIMIT_BYTES)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def answer(
    send: Send, status: int, body: bytes, headers: Headers = (), content_type: bytes = b"application/json"
) -> None:
    """Send a whole response."""
    length = str(len(body)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", length), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
