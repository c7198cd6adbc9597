"""The engine's stream of one container's output."""

import contextlib
from typing import Any

from requests.exceptions import ReadTimeout

from ploinky.adapters.docker_runtime_client import Connections
from ploinky.adapters.docker_runtime_errors import NOT_FOUND, status_of, translate
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import FOLLOW_TAIL_LIMIT_LINES

OPEN_TIMEOUT_SECONDS = 3.0
"""Podman answers only once there is something to send. Then it is asked again, so that a close is noticed."""


class ContainerStream:
    """A `LogStream` on a connection of its own: it is occupied for as long as the container runs."""

    def __init__(self, connections: Connections, name: str, engine_id: str, tail_lines: int, last_line: bytes) -> None:
        """Take what to open; an empty id is no container. `last_line` is what the container printed last, if it did.

        Without a tail that line is asked for and left out, because of what is said of the time-out above.
        """
        self._connections = connections
        self._name = name
        self._engine_id = engine_id
        self._left_out = b"" if tail_lines > 0 else last_line
        wanted = tail_lines if tail_lines > 0 else 1 if last_line else FOLLOW_TAIL_LIMIT_LINES
        self._tail_lines = min(wanted, FOLLOW_TAIL_LIMIT_LINES)
        self._client: Any = None
        self._stream: Any = None
        self._is_closed = not engine_id

    def read(self) -> bytes:
        try:
            while not self._is_closed:
                if self._stream is None and not self._open():
                    continue
                frame = bytes(next(self._stream, b""))
                if not frame:
                    return b""
                if not self._left_out.startswith(frame):
                    self._left_out = b""
                    return frame
                self._left_out = self._left_out[len(frame) :]
        except Exception as error:
            if self._is_closed or self._connections.is_closed() or status_of(error) == NOT_FOUND:
                return b""
            raise self._broken(error) from error
        return b""

    def close(self) -> None:
        self._is_closed = True
        stream, client = self._stream, self._client
        if stream is not None:
            self._connections.remove_stream(self)
            with contextlib.suppress(Exception):  # it may have ended in this moment, which is what is wanted
                stream.close()
        if client is not None:
            client.close()

    def _open(self) -> bool:
        """Open the stream; False when the engine has nothing to send yet."""
        self._client = client = self._connections.separate()
        client.timeout = OPEN_TIMEOUT_SECONDS
        try:
            self._stream = client.logs(self._engine_id, stream=True, follow=True, tail=self._tail_lines)
        except ReadTimeout:
            client.close()
            return False
        self._connections.add_stream(self)
        if self._is_closed:
            self.close()
        return True

    def _broken(self, error: Exception) -> Exception:
        found = translate(f"follow the output of {self._name}", error)
        return found if isinstance(found, RuntimeUnavailable) else RuntimeUnavailable(found.message)
