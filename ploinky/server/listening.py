"""Listen on our addresses, and serve HTTP on them."""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from ploinky.domain.errors import ConfigurationInvalid, PortInUse
from ploinky.gateway.websocket import MESSAGE_LIMIT_BYTES

BACKLOG_CONNECTIONS = 2_048
KEEP_ALIVE_SECONDS = 75
CLOSING_LIMIT_SECONDS = 3
"""How long open connections may take once everything they wait for has ended."""


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Bind an address. Raises `PortInUse`, naming the setting to change, or `ConfigurationInvalid`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationInvalid(f"host {host!r} cannot be resolved: {error}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG_CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"The port {port} on {host} is in use",
                hint=f"Stop what listens there, or choose another with {setting}.",
            ) from error
        raise ConfigurationInvalid(f"Cannot listen on {host}:{port}: {error.strerror}") from error
    listener.set_inheritable(False)
    return listener


class HttpServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: the node decides when to stop, and in which order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class _WithoutKnownEnds(logging.Filter):
    """Keeps back what the gateway has said already, with the reason: that an answer broke off."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is news."""
        return record.msg != "ASGI callable returned without completing response."


_WITHOUT_KNOWN_ENDS = _WithoutKnownEnds()


def http_server(application: Any) -> HttpServer:
    """Make the server for an ASGI application."""
    logging.getLogger("uvicorn.error").addFilter(_WITHOUT_KNOWN_ENDS)
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="none",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_LIMIT_BYTES,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSING_LIMIT_SECONDS,
        backlog=BACKLOG_CONNECTIONS,
    )
    return HttpServer(config)
