"""Probes over real connections."""

import asyncio
import contextlib

import aiohttp
from yarl import URL

from ploinky.ports.probes import ProbeAnswer
from ploinky.ports.runtime import Address

KEPT_SECONDS = 0.05
"""So long a connection has to stay open: forwarders accept for a port nobody listens on, and then hang up."""
USER_AGENT = "ploinky-probe"


class AiohttpProbes:
    """Opens a connection for each look, and closes it."""

    async def tcp(self, address: Address, timeout_seconds: float) -> ProbeAnswer:
        try:
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_connection(address.host, address.port)
        except TimeoutError:
            return _failed(f"nothing accepts connections on port {address.port} within {timeout_seconds:g} s")
        except OSError as error:
            return _failed(f"nothing accepts connections on port {address.port} ({_reason(error)})")
        try:
            return await _is_kept(reader, address.port)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def http(self, address: Address, path: str, timeout_seconds: float) -> ProbeAnswer:
        host = f"[{address.host}]" if ":" in address.host else address.host
        url = URL(f"http://{host}:{address.port}{path}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        headers = {"User-Agent": USER_AGENT, "Connection": "close"}
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=timeout,
                    headers=headers,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    connector=aiohttp.TCPConnector(force_close=True),
                    auto_decompress=False,
                ) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                status = response.status
                response.close()  # what it has to say beyond the headers is not waited for
        except TimeoutError:
            return _failed(f"GET {path} has no answer within {timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failed(f"GET {path} on port {address.port} has no answer ({_reason(error)})")
        return ProbeAnswer(is_passed=200 <= status < 400, finding=f"GET {path} answers {status}")


async def _is_kept(reader: asyncio.StreamReader, port: int) -> ProbeAnswer:
    try:
        async with asyncio.timeout(KEPT_SECONDS):
            said = await reader.read(1)
    except TimeoutError:
        return ProbeAnswer(is_passed=True, finding=f"port {port} is open")
    except OSError as error:
        return _failed(f"connections to port {port} are closed at once ({_reason(error)})")
    if said:
        return ProbeAnswer(is_passed=True, finding=f"port {port} is open")
    return _failed(f"connections to port {port} are closed at once")


def _failed(finding: str) -> ProbeAnswer:
    return ProbeAnswer(is_passed=False, finding=finding)


def _reason(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split())[:200]
