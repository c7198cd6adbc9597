"""One kept-alive HTTP connection to the server."""

import http.client
import json
import select
import socket
from collections.abc import Mapping
from typing import Any

from ploinky.client.address import Address, check_key, parse_address
from ploinky.client.answers import Answer
from ploinky.client.errors import ApiError, ConnectionFailed

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE"})
USER_AGENT = "ploinky-client"


class Connection:
    """Send requests one after the other. Not for several threads at once: give each its own."""

    def __init__(self, url: str, key: str | None, timeout_seconds: float) -> None:
        """Take the address without connecting yet. **Raises** `AddressInvalid`."""
        self.address: Address = parse_address(url)
        self._key = check_key(key) if key else None
        self._timeout_seconds = timeout_seconds
        self._open: http.client.HTTPConnection | None = None

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status. `body` is sent as JSON unless None.

        A connection that the server closed meanwhile is opened again; beyond that only an idempotent request is sent
        twice. **Raises** `ConnectionFailed`, `ApiError` for an answer over the size limit.
        """
        content = None if body is None else json.dumps(body).encode()
        was_open = self._is_still_open()
        try:
            return self._exchange(method, path, content, headers, timeout_seconds)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            if not was_open or method not in IDEMPOTENT_METHODS:
                raise self._failed(error) from error
        except (http.client.HTTPException, OSError) as error:
            raise self._failed(error) from error
        try:
            return self._exchange(method, path, content, headers, timeout_seconds)
        except (http.client.HTTPException, OSError) as error:
            raise self._failed(error) from error

    def open_stream(
        self, path: str, headers: Mapping[str, str], silence_seconds: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Begin an answer that has no end, on a connection of its own that the caller closes.

        **Raises** `ConnectionFailed`.
        """
        connection = self._connect(silence_seconds)
        try:
            connection.request("GET", self.address.prefix + path, headers=self._headers(headers, has_body=False))
            return connection, connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the connection. Idempotent; the next request opens a new one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float | None,
    ) -> Answer:
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        connection = self._open = self._open or self._connect(timeout)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        is_complete = False
        try:
            sent = self._headers(headers or {}, has_body=content is not None)
            connection.request(method, self.address.prefix + path, body=content, headers=sent)
            answer = read_answer(connection.getresponse())
            is_complete = True
        finally:
            if not is_complete:  # also when interrupted: the rest of that answer must not become the next one
                self.close()
        return answer

    def _headers(self, headers: Mapping[str, str], *, has_body: bool) -> dict[str, str]:
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.5", **headers}
        if self._key is not None:
            sent["X-API-Key"] = self._key
        if has_body:
            sent["Content-Type"] = "application/json"
        return sent

    def _connect(self, timeout_seconds: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.address.is_secure else http.client.HTTPConnection
        return kind(self.address.host, self.address.port, timeout=timeout_seconds)

    def _is_still_open(self) -> bool:
        """Drop a connection on which something waits to be read: between two requests that can only be its end."""
        held = None if self._open is None else self._open.sock
        if held is None:
            return False
        look = select.poll()
        look.register(held, select.POLLIN)
        if look.poll(0):
            self.close()
            return False
        return True

    def _failed(self, error: Exception) -> ConnectionFailed:
        self.close()
        return ConnectionFailed(self.address.url, reason_of(error))


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """Read an answer to its end.

    **Raises** `ApiError` when it is larger than the limit, `http.client.IncompleteRead` when it ends too early.
    """
    content = response.read(ANSWER_LIMIT_BYTES + 1)
    if response.length and len(content) <= ANSWER_LIMIT_BYTES:  # a bounded read does not notice a broken connection
        raise http.client.IncompleteRead(content, response.length)
    if len(content) > ANSWER_LIMIT_BYTES:
        raise ApiError(response.status, "ANSWER_TOO_LARGE", f"the answer has more than {ANSWER_LIMIT_BYTES} bytes")
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def reason_of(error: Exception) -> str:
    """Say in a few words why a connection failed."""
    match error:
        case TimeoutError():
            return "it took too long"
        case socket.gaierror():
            return "the host's name is not known"
        case OSError() if error.strerror:
            return error.strerror
        case http.client.RemoteDisconnected():
            return "it closed the connection without an answer"
        case http.client.HTTPException():
            return f"it does not speak HTTP ({type(error).__name__})"
        case _:
            return str(error) or type(error).__name__
