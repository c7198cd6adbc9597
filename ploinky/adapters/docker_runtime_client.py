"""Connections to the engine: made on first use, bounded in time, given up together."""

import os
import socket
import threading
from contextlib import closing
from typing import Any

from docker import APIClient

from ploinky.adapters.docker_runtime_dialects import Dialect
from ploinky.adapters.docker_runtime_errors import translated
from ploinky.domain.errors import RuntimeUnavailable

CALL_TIMEOUT_SECONDS = 30.0
SILENCE_TIMEOUT_SECONDS = 120.0
"""How long a pull or an import may say nothing."""
MAX_CONNECTIONS = 32
OLDEST_API_VERSION = "1.41"
"""Docker 20.10. Asked in this version, an engine tells which one it speaks."""


class _BoundedClient(APIClient):  # type: ignore[misc]  # the library is not typed
    """Bounds also the calls for which the library knows no time-out: pulls and imports."""

    silence_seconds = SILENCE_TIMEOUT_SECONDS

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("timeout", 0) is None:
            kwargs["timeout"] = self.silence_seconds
        kwargs.setdefault("timeout", self.timeout)
        return kwargs


class Connections:
    """One client for calls, shared by threads, and one more for each stream of events."""

    def __init__(
        self,
        dialect: Dialect,
        base_url: str | None = None,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        silence_seconds: float = SILENCE_TIMEOUT_SECONDS,
    ) -> None:
        """Take where the engine listens; by default where this dialect's engine usually does, looked up at each use."""
        self._dialect = dialect
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._silence_seconds = silence_seconds
        self._lock = threading.Lock()
        self._client: Any = None
        self._streams: set[Any] = set()
        self._is_closed = threading.Event()

    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    def base_url(self) -> str:
        """Return where the engine is looked for. **Raises** `RuntimeUnavailable` when that is not on this machine."""
        return str(self._where()["base_url"])

    def client(self) -> Any:
        """Return the client for calls. **Raises** `RuntimeUnavailable` when the engine does not answer."""
        with self._lock:
            if self.is_closed():
                raise RuntimeUnavailable("the connection to the container engine is closed", hint="")
            if self._client is None:
                with translated("reach the container engine"):
                    version = self.ask_version(self._timeout_seconds)["ApiVersion"]
                    client = _BoundedClient(**self._where(), version=version, **self._bounds(self._timeout_seconds))
                client.silence_seconds = self._silence_seconds
                self._client = client
            return self._client

    def ask_version(self, timeout_seconds: float) -> Any:
        """Ask the engine who it is. Raises what the library raises, and `RuntimeUnavailable` for another engine."""
        where = self._where()
        # The library forgets to close a socket that cannot be connected, so the first attempt is our own.
        _knock(where["base_url"], timeout_seconds)
        bounds = self._bounds(timeout_seconds)
        with closing(APIClient(**where, version=OLDEST_API_VERSION, **bounds)) as client:
            version = client.version(api_version=False)
        self._dialect.insist(version)
        return version

    def separate(self) -> Any:
        """Return a client of its own, for a stream that occupies its connection; the caller closes it."""
        version = self.client().api_version
        return APIClient(**self._where(), version=version, **self._bounds(self._timeout_seconds))

    def add_stream(self, stream: Any) -> None:
        """Remember an open stream, to end it with `close`."""
        with self._lock:
            self._streams.add(stream)
            is_late = self.is_closed()
        if is_late:
            stream.close()

    def remove_stream(self, stream: Any) -> None:
        with self._lock:
            self._streams.discard(stream)

    def close(self) -> None:
        with self._lock:
            self._is_closed.set()
            streams, client, self._client = list(self._streams), self._client, None
        for stream in streams:
            stream.close()
        if client is not None:
            client.close()

    def _where(self) -> dict[str, Any]:
        return {"base_url": self._base_url} if self._base_url else self._dialect.find(os.environ)

    def _bounds(self, timeout_seconds: float) -> dict[str, Any]:
        return {"timeout": timeout_seconds, "max_pool_size": MAX_CONNECTIONS}


def _knock(base_url: str, timeout_seconds: float) -> None:
    """Connect once and hang up, where the engine listens on a Unix socket. Raises the system's own error."""
    _scheme, separator, path = base_url.partition("unix://")
    if separator:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(timeout_seconds)
            door.connect(path)
