"""Serve deployments: route, admit, turn the request into a task, answer with the agent's own data."""

from typing import Any
from urllib.parse import parse_qs

import msgspec

from ploinky.domain.errors import DeploymentNotFound, DeploymentNotReady, Invalid, PloinkyError, ShuttingDown
from ploinky.domain.events import TaskSucceeded
from ploinky.domain.routing import Match, host_without_port
from ploinky.domain.specs import Release
from ploinky.gateway.http import Headers, Receive, Scope, Send, answer, header, read_body
from ploinky.gateway.proxy import Passage, Proxy
from ploinky.gateway.websocket import refuse_websocket
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Ids
from ploinky.usecases.admission import Principal, admit, authenticate
from ploinky.usecases.classify import classify, headers_for_agent
from ploinky.usecases.problems import RETRY_AFTER_SECONDS, TASK_STATUSES, problem, problem_of, status_of, timestamp
from ploinky.usecases.task_accounts import TaskAccounts, error_details, failure_of
from ploinky.usecases.tasks import Submission, Tasks
from ploinky.views.views import Views

TASK_URL = "/management/api/tasks/"
UNKNOWN_ACCESS = "authenticated"
FOR_KNOWN_CALLERS = ("traceback",)
"""Details of an error that name files and lines, which is nothing for everybody."""


class Gateway:
    """A raw ASGI application: between the socket and the task there is nothing but this."""

    def __init__(
        self, views: Views, tasks: Tasks, accounts: TaskAccounts, ids: Ids, proxy: Proxy, sync_wait_seconds: float
    ) -> None:
        """Take the use cases, the way to agents' own web servers, and how long a synchronous caller waits."""
        self._views = views
        self._tasks = tasks
        self._accounts = accounts
        self._ids = ids
        self._proxy = proxy
        self._sync_wait_seconds = sync_wait_seconds
        self.is_draining = False
        """While True, new requests are refused: the server is stopping."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = self._ids.mint()
        identity = [(b"x-request-id", request_id.encode())]
        try:
            if self.is_draining:
                raise ShuttingDown
            await self._serve(scope, receive, send, request_id)
        except PloinkyError as error:
            if error.is_retryable:
                identity.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
            await answer(send, status_of(error), problem_of(error, request_id), identity)

    async def serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead one WebSocket to the agent's own web server, or refuse it before it is accepted."""
        request_id = self._ids.mint()
        try:
            if self.is_draining:
                raise ShuttingDown
            match, _, release = self._find(scope)
            if release is None or release.http_port is None:
                raise Invalid("This deployment takes no WebSockets", hint="Only an agent with a web server does.")
            await self._proxy.connect(scope, receive, send, Passage(match, release, request_id))
        except PloinkyError as error:
            await refuse_websocket(send, status_of(error), problem_of(error, request_id), request_id)

    def _find(self, scope: Scope) -> tuple[Match, Principal | None, Release | None]:
        """Return who answers, who asks, and what serves, after letting the caller in. Raises `PloinkyError`."""
        headers: Headers = scope["headers"]
        path = scope["raw_path"].decode("latin-1")
        host = host_without_port(header(headers, b"host"))
        match = self._views.routes.match(host, path)
        if match is None:
            raise DeploymentNotFound(domain=host, path=path)
        principal = authenticate(self._views, header(headers, b"x-api-key"), header(headers, b"authorization"))
        return match, principal, self._admit(match, principal)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        match, principal, release = self._find(scope)
        headers: Headers = scope["headers"]
        path = scope["raw_path"].decode("latin-1")
        if release is not None and release.http_port is not None:
            await self._proxy.forward(scope, receive, send, Passage(match, release, request_id))
            return
        query = scope["query_string"].decode("latin-1")
        request = classify(match.rest, query, header(headers, b"content-type"), await read_body(receive))
        caller = principal.actor if principal else f"anonymous:{(scope.get('client') or ('unknown',))[0]}"
        submission = await self._tasks.submit(
            match.deployment_id,
            request,
            _metadata(scope, path, query, principal, request_id),
            Context(caller, request_id),
            wait_seconds=self._wait_seconds(headers, query),
            idempotency=_idempotency(headers, caller),
        )
        await self._respond(send, submission, principal, request_id)

    def _admit(self, match: Match, principal: Principal | None) -> Release | None:
        """Let the caller in or raise; return the release that serves, or the one that is to be the first."""
        deployment = self._views.deployments.get(match.deployment_id)
        release = deployment.active_release if deployment else None
        # Before the first release is up nobody knows how open it may be, so it is not.
        admit(principal, release.access if release else UNKNOWN_ACCESS)
        if deployment is not None and release is None and deployment.rollout is None:
            raise DeploymentNotReady(deployment=match.deployment_id)
        if release is None and deployment is not None and deployment.rollout is not None:
            return deployment.rollout.release
        return release

    def _wait_seconds(self, headers: Headers, query: str) -> float:
        is_async = "respond-async" in header(headers, b"prefer").lower()
        if not is_async and "async" in query:
            is_async = parse_qs(query).get("async", [""])[-1].lower() in {"true", "1", "yes"}
        configured = self._views.setting("syncWaitSeconds")
        return 0.0 if is_async else float(self._sync_wait_seconds if configured is None else configured)

    async def _respond(self, send: Send, submission: Submission, principal: Principal | None, request_id: str) -> None:
        task_id, outcome = submission
        headers = [(b"x-ploinky-task", task_id.encode()), (b"x-request-id", request_id.encode())]
        if outcome is None:
            token = "" if principal else f"?token={self._accounts.reading_token(task_id)}"
            location = f"{TASK_URL}{task_id}{token}"
            body = msgspec.json.encode({"id": task_id, "state": "submitted", "location": location})
            await answer(send, 202, body, [*headers, (b"location", location.encode())])
        elif isinstance(outcome.event, TaskSucceeded):
            await answer(send, 200, outcome.content, headers)
        else:
            code, message = failure_of(outcome)
            hidden = () if principal else FOR_KNOWN_CALLERS
            given = {name: value for name, value in error_details(outcome).items() if name not in hidden}
            details = {**given, "task": task_id}
            await answer(send, TASK_STATUSES.get(code, 500), problem(code, message, details, request_id), headers)


def _metadata(scope: Scope, path: str, query: str, principal: Principal | None, request_id: str) -> dict[str, Any]:
    now = timestamp()
    return {
        "method": scope["method"],
        "url": f"{path}?{query}" if query else path,
        "headers": headers_for_agent(scope["headers"]),
        "timestamp": now,
        "securityContext": {
            "userId": principal.actor if principal else None,
            "roles": ["admin"] if principal else [],
            "permissions": ["*"] if principal else [],
            "isAuthenticated": principal is not None,
            "timestamp": now,
            "requestId": request_id,
        },
    }


def _idempotency(headers: Headers, caller: str) -> tuple[str, str] | None:
    key = header(headers, b"idempotency-key")
    return (caller, key) if key else None
