"""Follow the journal's events over server-sent events, position by position.

**Source** of the format: HTML Living Standard, section 9.2.6, "Interpreting an event stream".
"""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlencode

from ploinky.client.answers import JsonObject, refusal
from ploinky.client.connection import Connection, read_answer, reason_of
from ploinky.client.errors import ApiError, ConnectionFailed

STREAM_PATH = "/management/api/events/stream"
LINE_LIMIT_BYTES = 8 * 1024 * 1024
EVENT_LIMIT_LINES = 10_000
SILENCE_SECONDS = 90.0
"""The server sends a comment more often than this; after it the connection counts as lost."""
RECONNECT_LIMIT_TRIES = 30
RECONNECT_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


class EventFeed:
    """Read events after a position, and go on there when the connection breaks: none twice, none left out."""

    def __init__(
        self,
        connection: Connection,
        after: int,
        wanted: Mapping[str, str] = MappingProxyType({}),
        *,
        pause_seconds: float = RECONNECT_PAUSE_SECONDS,
    ) -> None:
        """Begin after position `after`. `wanted` are further query parameters of the stream."""
        self._connection = connection
        self._wanted = wanted
        self._pause_seconds = pause_seconds
        self.position = after

    def __iter__(self) -> Iterator[JsonObject]:
        """Yield events for ever. **Raises** `ApiError` for a refusal, `ConnectionFailed` once all tries are spent."""
        failures = 0
        is_first = True
        while True:
            before = self.position
            try:
                yield from self._one_connection()
                failure = ConnectionFailed(self._connection.address.url, "it ended the stream of events")
            except ConnectionFailed as error:
                if is_first:
                    raise
                failure = error
            except ApiError as error:
                if is_first or error.status < 500:
                    raise
                failure = ConnectionFailed(self._connection.address.url, error.message)
            is_first = False
            failures = 0 if self.position > before else failures + 1
            if failures > RECONNECT_LIMIT_TRIES:
                raise failure
            self._pause(failures)

    def _pause(self, failures: int) -> None:
        if failures:
            threading.Event().wait(min(self._pause_seconds * 2 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS))

    def _one_connection(self) -> Iterator[JsonObject]:
        query = urlencode({"after": self.position, **self._wanted})
        for event in stream_events(self._connection, f"{STREAM_PATH}?{query}"):
            position = event.get("position")
            if isinstance(position, int) and position > self.position:
                self.position = position
                yield event


def stream_events(connection: Connection, path: str) -> Iterator[JsonObject]:
    """Yield the events of one stream until it ends. **Raises** `ApiError` for a refusal, `ConnectionFailed`."""
    opened, response = connection.open_stream(path, {"Accept": "text/event-stream"}, SILENCE_SECONDS)
    try:
        if response.status != 200:
            raise refusal(read_answer(response))
        yield from read_events(response)
    except (http.client.HTTPException, OSError) as error:
        raise ConnectionFailed(connection.address.url, reason_of(error)) from error
    finally:
        opened.close()


def read_events(response: http.client.HTTPResponse) -> Iterator[JsonObject]:
    """Yield each event's JSON object; comments and events that hold none are passed over.

    **Raises** `ApiError` for lines or events over the limits, and what reading the response raises.
    """
    collected: list[bytes] = []
    while line := response.readline(LINE_LIMIT_BYTES + 1):
        if len(line) > LINE_LIMIT_BYTES or len(collected) > EVENT_LIMIT_LINES:
            raise ApiError(response.status, "ANSWER_TOO_LARGE", "one event is larger than the limit")
        content = line.rstrip(b"\r\n")
        if content.startswith(b"data:"):
            collected.append(content[5:].removeprefix(b" "))
        elif not content and collected:
            event = _event_of(b"\n".join(collected))
            collected.clear()
            if event is not None:
                yield event


def _event_of(content: bytes) -> JsonObject | None:
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
