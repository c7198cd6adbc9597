"""Connections to agents' own web servers."""

import asyncio

import aiohttp
from yarl import URL

from ploinky.domain.errors import AgentTimeout, AgentUnreachable, PloinkyError
from ploinky.gateway.forwarding_headers import HEADERS_LIMIT_BYTES
from ploinky.ports.runtime import Address

CONNECT_LIMIT_SECONDS = 5.0
IDLE_LIMIT_SECONDS = 15.0
"""How long a connection nobody uses is kept. There are never more than there were requests at once."""
REASON_LIMIT_CHARACTERS = 200
READ_BUFFER_BYTES = 64 * 1024
AUTOMATIC_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS"})
"""What may be sent again on another connection when a kept one turns out to be closed."""


class Upstream:
    """Two sets of connections: kept ones for what may be repeated, and a fresh one for everything else.

    A server may close a kept connection at the moment a request is sent on it, and then nobody can tell whether it was
    worked on. A fresh connection costs a fraction of a millisecond here and has no such moment.
    """

    def __init__(self) -> None:
        """Connect to nobody yet. Needs a running event loop."""
        self._kept = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_LIMIT_SECONDS))
        self.fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def request(
        self, method: str, url: URL, headers: list[tuple[str, str]], body: object, silence_seconds: float
    ) -> aiohttp.ClientResponse:
        """Send a request and return its response once its headers are there. Raises aiohttp's errors."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_SECONDS, sock_read=silence_seconds)
        is_repeatable = body is None and method in IDEMPOTENT
        try:
            session = self._kept if is_repeatable else self.fresh
            return await _send(session, method, url, headers, body, timeout)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not is_repeatable or isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await _send(self.fresh, method, url, headers, None, timeout)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._kept.close()
        await self.fresh.close()


def url_of(address: Address, rest: str, query: bytes) -> URL:
    """Return where a request goes. `rest` and `query` are sent as they came."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    suffix = f"?{_ascii(query)}" if query else ""
    return URL(f"http://{host}:{address.port}{rest or '/'}{suffix}", encoded=True)


def as_ours(error: Exception) -> PloinkyError:
    """Translate what went wrong before an answer began."""
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return AgentTimeout()
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return AgentUnreachable("The agent's web server does not accept a connection")
    if isinstance(error, aiohttp.ClientResponseError):
        return AgentUnreachable("The agent's web server answers with something that is not HTTP", reason=_short(error))
    return AgentUnreachable("The agent's web server hung up before it answered")


def _short(error: aiohttp.ClientResponseError) -> str:
    """Say what is wrong with an answer, without more of the answer than its first line."""
    return error.message.partition("\n")[0].rstrip(":")[:REASON_LIMIT_CHARACTERS]


def _ascii(query: bytes) -> str:
    """Percent-encode what has no place in a request line, and nothing else."""
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in query)


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: list[tuple[str, str]],
    body: object,
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's own bounds, for each step of a request
) -> aiohttp.ClientResponse:
    return await session.request(method, url, headers=headers, data=body, allow_redirects=False, timeout=timeout)


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        loop=asyncio.get_running_loop(),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=AUTOMATIC_HEADERS,
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_SECONDS),
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=HEADERS_LIMIT_BYTES,
        max_field_size=HEADERS_LIMIT_BYTES,
    )
