"""The engine's stream of one container's output."""

import contextlib
from typing import Any

from ploinky.adapters.docker_runtime_client import Connections
from ploinky.adapters.docker_runtime_errors import NOT_FOUND, status_of, translate, translated
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import FOLLOW_TAIL_LIMIT_LINES


class ContainerStream:
    """A `LogStream` on a connection of its own: it is occupied for as long as the container runs."""

    def __init__(self, connections: Connections, name: str, engine_id: str, tail_lines: int) -> None:
        """Open the stream. **Raises** as the port says."""
        self._name = name
        self._connections = connections
        self._stream: Any = None
        if not engine_id:
            return  # there is no such container
        self._client = connections.separate()
        try:
            with translated(f"follow the output of {name}"):
                self._stream = self._client.logs(
                    engine_id, stream=True, follow=True, tail=min(tail_lines, FOLLOW_TAIL_LIMIT_LINES)
                )
        except Exception as error:
            self._client.close()
            if status_of(error.__cause__ if isinstance(error.__cause__, Exception) else error) != NOT_FOUND:
                raise
        else:
            connections.add_stream(self)

    def read(self) -> bytes:
        if self._stream is None:
            return b""
        try:
            return bytes(next(self._stream, b""))
        except Exception as error:
            if self._stream is None or self._connections.is_closed():
                return b""
            raise self._broken(error) from error

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._connections.remove_stream(self)
        with contextlib.suppress(Exception):  # it may have ended in this moment, which is what is wanted
            stream.close()
        self._client.close()

    def _broken(self, error: Exception) -> Exception:
        found = translate(f"follow the output of {self._name}", error)
        return found if isinstance(found, RuntimeUnavailable) else RuntimeUnavailable(found.message)
