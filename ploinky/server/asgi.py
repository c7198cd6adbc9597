"""The outermost application: which front a request belongs to, and nobody unknown near the management."""

import contextlib
import logging
from typing import Any, Protocol
from urllib.parse import parse_qs

from ploinky.domain.errors import NotFound, PloinkyError, ShuttingDown, Unauthenticated
from ploinky.domain.routing import host_without_port
from ploinky.gateway.gateway import Gateway
from ploinky.gateway.http import ClientGone, Headers, Receive, Scope, Send, answer, header
from ploinky.gateway.websocket import refuse_websocket
from ploinky.ports.clock import Ids
from ploinky.usecases.admission import authenticate
from ploinky.usecases.problems import problem, problem_of, status_of
from ploinky.usecases.task_accounts import TaskAccounts
from ploinky.views.views import Views

log = logging.getLogger(__name__)

MANAGEMENT = b"/management"
RESERVED = (b"/auth", b"/client")
TASKS = "/management/api/tasks/"
WEBHOOKS = "/management/api/webhooks/"
"""Deliveries are signed instead."""
OPEN_PATHS = frozenset(
    {
        "/management/api/init",
        "/management/api/keys/recover",  # it carries its own proof
        "/management/health/live",
        "/management/health/ready",
        "/management/openapi.json",
        "/management/docs",
    }
)
"""What answers without a key. Everything else under `/management` is refused before anything is looked at."""


class AsgiApplication(Protocol):
    """Any ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""


class Application:
    """Send each request to its front. The raw path decides: what is percent-encoded is no part of a prefix."""

    def __init__(self, gateway: Gateway, api: AsgiApplication, views: Views, accounts: TaskAccounts, ids: Ids) -> None:
        """Take the two fronts."""
        self._gateway = gateway
        self._api = api
        self._views = views
        self._accounts = accounts
        self._ids = ids
        self.management_port = 0
        """Requests that come in there see the management only."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. Whatever goes wrong unexpectedly ends here, in the error format."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        try:
            await self._route(scope, receive, send)
        except ClientGone:
            return
        except Exception:
            request_id = self._ids.mint()
            log.exception("request %s failed unexpectedly", request_id)
            body = problem("INTERNAL_ERROR", "Something went wrong; the server's log says what", {}, request_id)
            with contextlib.suppress(RuntimeError):  # An answer has begun; the connection is closed under it.
                await answer(send, 500, body, [(b"x-request-id", request_id.encode())])

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead a WebSocket to a deployment; nothing else takes one."""
        path: bytes = scope["raw_path"]
        is_reserved = any(_is_below(path, prefix) for prefix in (MANAGEMENT, *RESERVED))
        if not is_reserved and scope["server"][1] != self.management_port:
            await self._gateway.serve_websocket(scope, receive, send)
            return
        request_id = self._ids.mint()
        error = NotFound("No WebSocket is taken here", path=path.decode("latin-1"))
        await refuse_websocket(send, status_of(error), problem_of(error, request_id), request_id)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: bytes = scope["raw_path"]
        if _is_below(path, MANAGEMENT):
            await self._management(scope, receive, send)
        elif scope["server"][1] == self.management_port or any(_is_below(path, prefix) for prefix in RESERVED):
            if path == b"/" and scope["method"] in {"GET", "HEAD"}:
                await _redirect(send, "/management/docs")
            else:
                await self._refuse(send, NotFound("Nothing answers here", path=path.decode("latin-1")))
        elif path == b"/" and self._is_lonely_browser(scope):
            host = host_without_port(header(scope["headers"], b"host")) or "localhost"
            await _redirect(send, f"http://{host}:{self.management_port}/management/docs")
        else:
            await self._gateway(scope, receive, send)

    def _is_lonely_browser(self, scope: Scope) -> bool:
        """Tell whether somebody looks at a root where nothing is deployed."""
        headers: Headers = scope["headers"]
        wants_page = scope["method"] == "GET" and "text/html" in header(headers, b"accept")
        return wants_page and self._views.routes.match(host_without_port(header(headers, b"host")), "/") is None

    async def _management(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope["headers"]
        principal = authenticate(self._views, header(headers, b"x-api-key"), header(headers, b"authorization"))
        if principal is None and not self._is_open(scope):
            await self._refuse(send, Unauthenticated())
            return
        if self._gateway.is_draining and scope["method"] not in {"GET", "HEAD"}:
            await self._refuse(send, ShuttingDown())
            return
        request_id = self._ids.mint()

        async def send_identified(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._api({**scope, "principal": principal, "request_id": request_id}, receive, send_identified)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["raw_path"].decode("latin-1")
        if path in OPEN_PATHS or (scope["method"] == "POST" and path.startswith(WEBHOOKS)):
            return True
        if scope["method"] != "GET" or not path.startswith(TASKS):
            return False
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return bool(token) and self._accounts.may_read(path.removeprefix(TASKS), token)

    async def _refuse(self, send: Send, error: PloinkyError) -> None:
        request_id = self._ids.mint()
        await answer(send, status_of(error), problem_of(error, request_id), [(b"x-request-id", request_id.encode())])


def _is_below(path: bytes, prefix: bytes) -> bool:
    return path == prefix or path.startswith(prefix + b"/")


async def _redirect(send: Send, location: str) -> None:
    await answer(send, 307, b"", [(b"location", location.encode("latin-1", "replace"))])
