"""Lead requests and WebSockets to agents' own web servers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from yarl import URL

from ploinky.control.addresses import Addresses
from ploinky.control.arrivals import Arrivals
from ploinky.control.exchanges import Exchanges
from ploinky.domain.errors import AgentUnreachable, DeploymentNotReady, Invalid
from ploinky.domain.routing import Match
from ploinky.domain.specs import Release
from ploinky.gateway import forwarding_headers as forwarding
from ploinky.gateway.http import Headers, Message, Receive, Scope, Send
from ploinky.gateway.request_body import RequestBody
from ploinky.gateway.upstream import Upstream, as_ours, url_of
from ploinky.gateway.websocket import (
    CLOSE_LIMIT_SECONDS,
    MESSAGE_LIMIT_BYTES,
    PING_SECONDS,
    pass_messages,
    refuse_websocket,
)
from ploinky.usecases.problems import problem

log = logging.getLogger(__name__)

REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
WITHOUT_BODY = frozenset({204, 304})
FORWARDING_ERRORS = (aiohttp.ClientError, OSError, ValueError)
"""`OSError` holds `TimeoutError`; `ValueError` is what aiohttp raises for what cannot be sent."""


class Passage(NamedTuple):
    """A request that was let in."""

    match: Match
    release: Release
    request_id: str


class Cut(Exception):
    """An exchange was ended early: its caller has gone, or its instance goes."""


class Proxy:
    """Forward as it comes, both ways, streaming; answer ourselves only when nothing has been answered yet."""

    def __init__(self, arrivals: Arrivals, addresses: Addresses, exchanges: Exchanges) -> None:
        """Take who serves, where they are reached, and who counts what is under way."""
        self._arrivals = arrivals
        self._addresses = addresses
        self._exchanges = exchanges
        self._upstream = Upstream()

    async def close(self) -> None:
        """Close all connections to agents. Idempotent."""
        await self._upstream.close()

    async def forward(self, scope: Scope, receive: Receive, send: Send, passage: Passage) -> None:
        """Forward one request. Raises `PloinkyError` before the answer has begun.

        Once it has begun, whatever ends it early leaves it visibly incomplete: the connection is closed.
        """
        if scope["method"] in REFUSED_METHODS:
            raise Invalid(f"{scope['method']} is not passed on")
        headers = forwarding.request_headers(scope, passage.match.route.path, passage.request_id)
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with self._exchange(scope, passage) as (url, cut):
                await self._pass(scope, receive, send_noting, headers, url, passage, cut)
        except Cut:
            if not has_begun:
                raise DeploymentNotReady("The instance was stopped before it answered") from None
        except FORWARDING_ERRORS as error:
            if not has_begun:
                raise as_ours(error) from error
            log.warning("the answer of %s broke off: %s", passage.match.deployment_id, error)

    async def connect(self, scope: Scope, receive: Receive, send: Send, passage: Passage) -> None:
        """Forward one WebSocket. Raises `PloinkyError` before it is accepted."""
        headers = forwarding.request_headers(scope, passage.match.route.path, passage.request_id)
        with contextlib.suppress(Cut):
            async with self._exchange(scope, passage) as (url, _):
                try:
                    agent = await self._handshake(url, headers, scope["subprotocols"], passage)
                except aiohttp.WSServerHandshakeError as error:
                    await _pass_refusal(send, error, passage.request_id)
                    return
                except FORWARDING_ERRORS as error:
                    raise as_ours(error) from error
                await receive()  # "websocket.connect"
                identity = [(b"x-request-id", passage.request_id.encode())]
                await send({"type": "websocket.accept", "subprotocol": agent.protocol, "headers": identity})
                await pass_messages(receive, send, agent)

    async def _handshake(
        self, url: URL, headers: list[tuple[str, str]], subprotocols: list[str], passage: Passage
    ) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(passage.release.time_limit_seconds):
            return await self._upstream.fresh.ws_connect(
                url,
                protocols=subprotocols,
                headers=headers,
                heartbeat=PING_SECONDS,
                max_msg_size=MESSAGE_LIMIT_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_LIMIT_SECONDS),
            )

    @asynccontextmanager
    async def _exchange(self, scope: Scope, passage: Passage) -> AsyncIterator[tuple[URL, Callable[[], None]]]:
        """Count an exchange with the instance chosen for it; yield where it goes, and what ends it early.

        Raises `Cut` when it was ended early, `DeploymentNotReady` when nobody serves.
        """
        serving = await self._arrivals.serving(passage.match.deployment_id)
        instance_id = self._exchanges.choose([key for key, _ in serving])
        task = asyncio.current_task()
        if instance_id is None or task is None:
            raise DeploymentNotReady(deployment=passage.match.deployment_id)
        is_cut = False

        def cut() -> None:
            nonlocal is_cut
            if not is_cut:
                is_cut = True
                task.cancel()

        # Counted before anything is awaited: from here on the instance is not stopped under it.
        exchange = self._exchanges.begin(instance_id, cut)
        try:
            address = await self._addresses.of(instance_id)
            yield url_of(address, passage.match.rest, scope["query_string"]), cut
        except asyncio.CancelledError:
            if not is_cut:
                raise
            task.uncancel()
            raise Cut from None
        finally:
            is_cut = True
            self._exchanges.end(exchange)

    async def _pass(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: list[tuple[str, str]],
        url: URL,
        passage: Passage,
        cut: Callable[[], None],
    ) -> None:
        limit_seconds = passage.release.time_limit_seconds
        sent: Headers = scope["headers"]
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(limit_seconds) as deadline:
                body = RequestBody(receive, deadline, limit_seconds)
                is_empty = not forwarding.has_body(sent)
                if is_empty:
                    await body.skip()
                elif (length := forwarding.content_length(sent)) is not None:
                    headers = [*headers, ("content-length", length.decode("latin-1"))]
                watching = asyncio.get_running_loop().create_task(_cut_when_gone(body, cut))
                response = await self._upstream.request(
                    scope["method"], url, headers, None if is_empty else body, limit_seconds
                )
            async with response:
                await _pass_response(response, send, passage.request_id)
        finally:
            if watching is not None:
                watching.cancel()


async def _cut_when_gone(body: RequestBody, cut: Callable[[], None]) -> None:
    await body.gone()
    cut()


async def _pass_response(response: aiohttp.ClientResponse, send: Send, request_id: str) -> None:
    if not 200 <= response.status <= 599:
        raise AgentUnreachable(f"The agent's web server answers with the status {response.status}")
    has_length = response.status not in WITHOUT_BODY
    headers = forwarding.response_headers(response.raw_headers, has_length=has_length)
    identity = (b"x-request-id", request_id.encode())
    await send({"type": "http.response.start", "status": response.status, "headers": [*headers, identity]})
    async for piece in response.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pass_refusal(send: Send, error: aiohttp.WSServerHandshakeError, request_id: str) -> None:
    """Refuse a handshake as the agent did; one that it took in an unknown way is no refusal but a defect."""
    status = error.status if 300 <= error.status <= 599 else 502
    details = {"status": error.status}
    body = problem("AGENT_REFUSED", "The agent's web server refuses this WebSocket", details, request_id)
    await refuse_websocket(send, status, body, request_id)
