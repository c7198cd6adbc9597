"""The management API as Python methods."""

import base64
import types
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self
from urllib.parse import urlencode

from ploinky.client.address import quote_segment
from ploinky.client.answers import JsonObject, checked, json_object, json_objects
from ploinky.client.calls import Called, call_agent
from ploinky.client.connection import Connection
from ploinky.client.errors import ApiError
from ploinky.client.event_feed import EventFeed, stream_events
from ploinky.client.execution import ExecResult, exec_result

API = "/management/api"
DEFAULT_TIMEOUT_SECONDS = 60.0
EVENTS_PER_PAGE = 500
EXEC_MARGIN_SECONDS = 30.0
"""Beyond the time a command may take: killing it, and the way there and back."""

Change = Literal["start", "stop", "restart", "update"]


class PloinkyClient:
    """One server, one key, one kept-alive connection; for one thread at a time.

    Every method **raises** `ApiError` when the server refuses and `ConnectionFailed` when it does not answer. Lists
    are pages: `{"data": [...], "pagination": {"page", "perPage", "total", "pages"}, "links": {...}}`.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Take the server's URL without connecting yet. **Raises** `AddressInvalid`."""
        self._connection = Connection(url, key, timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent; the next call opens a new one."""
        self._connection.close()

    @property
    def url(self) -> str:
        """The server's address in its plain form."""
        return self._connection.address.url

    def health(self) -> JsonObject:
        """Give `{status, version, journal{position, epoch}, runtimes[{kind, isUsable, version, reason}]}`."""
        return self._get("/health")

    def initialise(self) -> JsonObject:
        """Ask a new server for its first key: `{key, keyId}`. Not idempotent: refused ever after."""
        return self._send("POST", "/init")

    def deployments(self, *, page: int | None = None, per_page: int | None = None, **wanted: str | None) -> JsonObject:
        """List deployments, those with `domain=` and `path=` if given."""
        return self._get("/deployments", page=page, perPage=per_page, **wanted)

    def deployment(self, deployment_id: str) -> JsonObject:
        return self._get(f"/deployments/{quote_segment(deployment_id)}")

    def find_deployment(self, domain: str, path: str) -> JsonObject:
        """Give the deployment at a route. **Raises** `ApiError` 404 when there is none."""
        found = self.deployments(domain=domain, path=path).get("data")
        if isinstance(found, list) and found and isinstance(found[0], dict):
            return found[0]
        details = {"domain": domain, "path": path, "hint": "See `ploinky deployments`."}
        raise ApiError(404, "DEPLOYMENT_NOT_FOUND", f"no deployment answers at {domain}{path}", details=details)

    def deploy(self, domain: str, path: str, agent: str, repository: str, **options: Any) -> JsonObject:
        """Deploy an agent, or again at the same route; returns at once with the deployment and its rollout.

        `options`: `branch`, `revision`, `subfolder`, `credentials`, `runtime`, `image`, `access`,
        `concurrency`, `timeoutSeconds`, `replicas`, `env` and `secrets` (name -> value).
        Those that are None are left to the server.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        wanted = {"domain": domain, "path": path, "agent": agent, "repository": repository, **chosen}
        return self._send("POST", "/deployments", wanted)

    def undeploy(self, deployment_id: str) -> JsonObject:
        """Begin to remove a deployment. Idempotent until it is gone."""
        return self._send("DELETE", f"/deployments/{quote_segment(deployment_id)}")

    def change(self, deployment_id: str, change: Change) -> JsonObject:
        """Begin to start, stop, restart or update a deployment; returns it as it then is."""
        return self._send("POST", f"/deployments/{quote_segment(deployment_id)}/{change}")

    def change_settings(self, deployment_id: str, **changes: Any) -> JsonObject:
        """Change what is said about a deployment, fetch its newest commit and roll it out; the rest stays.

        `changes` are those of `deploy`, `replicas` included. None gives a decision back to the manifest; in `env` and
        `secrets` it takes a variable away.
        """
        return self._send("PUT", f"/deployments/{quote_segment(deployment_id)}", changes)

    def scale(self, deployment_id: str, replicas: int) -> JsonObject:
        """Let so many instances serve. Idempotent."""
        return self._send("POST", f"/deployments/{quote_segment(deployment_id)}/scale", {"replicas": replicas})

    def roll_back(self, deployment_id: str, to_generation: int | None = None) -> JsonObject:
        """Begin to bring an earlier release back; None = what the newest change replaced."""
        wanted = {"toGeneration": to_generation}
        return self._send("POST", f"/deployments/{quote_segment(deployment_id)}/rollback", wanted)

    def history(self, deployment_id: str) -> JsonObject:
        """Give `{data: [{generation, isActive, reason, actor, commit, image, ...}], lastRollout}`, newest first."""
        return self._get(f"/deployments/{quote_segment(deployment_id)}/history")

    def logs(self, deployment_id: str, tail_lines: int | None = None, **wanted: int | None) -> str:
        """Give the newest lines that an instance wrote; `wanted`: `generation`, `instance`."""
        path = _with_query(f"/deployments/{quote_segment(deployment_id)}/logs", {"tail": tail_lines, **wanted})
        return checked(self._connection.request("GET", API + path)).text

    def follow_logs(
        self, deployment_id: str, tail_lines: int | None = None, **wanted: int | None
    ) -> Iterator[JsonObject]:
        """Yield `{instance, lines}` as they are written, and `{instance, remark}` when another instance goes on.

        Ends when nothing more can come. A broken connection is a `ConnectionFailed`: it cannot be resumed.
        """
        query = {"follow": "true", "tail": tail_lines, **wanted}
        return stream_events(
            self._connection, API + _with_query(f"/deployments/{quote_segment(deployment_id)}/logs", query)
        )

    def exec(
        self,
        deployment_id: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_seconds: float = 30.0,
        generation: int | None = None,
        instance: int | None = None,
    ) -> ExecResult:
        """Run a command inside an instance of a deployment to its end. Not idempotent."""
        document = {
            "command": [*command],
            "stdin": base64.b64encode(stdin).decode(),
            "encoding": "base64",
            "timeoutSeconds": timeout_seconds,
            "generation": generation,
            "instance": instance,
        }
        path = f"{API}/deployments/{quote_segment(deployment_id)}/exec"
        waited_seconds = timeout_seconds + EXEC_MARGIN_SECONDS
        answer = self._connection.request("POST", path, body=document, timeout_seconds=waited_seconds)
        return exec_result(answer)

    def stats(
        self, deployment_id: str | None = None, *, page: int | None = None, per_page: int | None = None
    ) -> JsonObject:
        """Give what instances take of the machine, those of a deployment or all."""
        path = f"/deployments/{quote_segment(deployment_id)}/stats" if deployment_id is not None else "/stats"
        return self._get(path, page=page, perPage=per_page)

    def tasks(self, *, page: int | None = None, per_page: int | None = None, **wanted: str | None) -> JsonObject:
        """List tasks, those with `deployment=` and `state=` if given."""
        return self._get("/tasks", page=page, perPage=per_page, **wanted)

    def task(self, task_id: str) -> JsonObject:
        return self._get(f"/tasks/{quote_segment(task_id)}")

    def task_at(self, location: str) -> JsonObject:
        """Read a task where a call said it can be read, also without a key."""
        return json_object(self._connection.request("GET", location))

    def submit_task(self, deployment_id: str, command: str, params: Sequence[Any] = ()) -> JsonObject:
        """Hand in a task without waiting for it. Not idempotent."""
        return self._send("POST", "/tasks", {"deployment": deployment_id, "command": command, "params": [*params]})

    def cancel_task(self, task_id: str) -> JsonObject:
        """Ask for a task to be stopped. Idempotent until it has ended."""
        return self._send("DELETE", f"/tasks/{quote_segment(task_id)}")

    def instances(self, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        return self._get("/instances", page=page, perPage=per_page)

    def routes(self, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        return self._get("/routes", page=page, perPage=per_page)

    def repositories(self, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        return self._get("/repositories", page=page, perPage=per_page)

    def add_repository(self, name: str, url: str, branch: str | None = None, **options: Any) -> JsonObject:
        """Give a repository a name; again for the same URL and branch, change what is given besides.

        `options`: `credentials` (`{username, password}`, `{token}` or `{sshKey}`), `webhookSecret`, `pollSeconds`.
        """
        given = {name: value for name, value in {"branch": branch, **options}.items() if value is not None}
        return self._send("POST", "/repositories", {"name": name, "url": url, **given})

    def update_repository(self, name: str) -> JsonObject:
        """Fetch a repository now: `{before, commit, changes[], isFromCache, reason, warnings[]}`."""
        return self._send("POST", f"/repositories/{quote_segment(name)}/update")

    def agents(self, repository: str, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        """List the agents of a named repository: `{name, about, commands[], error}`."""
        return self._get(f"/repositories/{quote_segment(repository)}/agents", page=page, perPage=per_page)

    def clean_up(self, *, is_dry_run: bool = False) -> JsonObject:
        """Remove what no deployment needs: `{removed[], freedBytes, isDryRun, reason}`."""
        return self._send("POST", "/cleanup?dryRun=true" if is_dry_run else "/cleanup")

    def registries(self, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        """List the private registries of images with who asks there."""
        return self._get("/registries", page=page, perPage=per_page)

    def add_registry(self, host: str, username: str, password: str) -> JsonObject:
        """Say who asks a registry from now on. The password is never shown again."""
        return self._send("POST", "/registries", {"host": host, "username": username, "password": password})

    def remove_registry(self, host: str) -> JsonObject:
        """Forget who asks a registry."""
        return self._send("DELETE", f"/registries/{quote_segment(host)}")

    def remove_repository(self, name: str) -> JsonObject:
        return self._send("DELETE", f"/repositories/{quote_segment(name)}")

    def settings(self) -> list[JsonObject]:
        """Give `[{name, value, isChanged}]`."""
        return json_objects(self._connection.request("GET", f"{API}/settings"))

    def change_setting(self, name: str, value: Any) -> JsonObject:
        """Set one setting. Idempotent."""
        return self._send("PUT", f"/settings/{quote_segment(name)}", {"value": value})

    def keys(self, *, page: int | None = None, per_page: int | None = None) -> JsonObject:
        return self._get("/keys", page=page, perPage=per_page)

    def revoke_key(self, key_id: str) -> JsonObject:
        return self._send("DELETE", f"/keys/{quote_segment(key_id)}")

    def call(
        self,
        path: str,
        command: str,
        params: Sequence[Any] = (),
        *,
        domain: str | None = None,
        is_async: bool = False,
        timeout_seconds: float | None = None,
    ) -> Called:
        """Call an agent. Not idempotent. With `is_async`, or when it takes long, the answer names the task instead."""
        document = {"command": command, "params": [*params]}
        return call_agent(
            self._connection, path, document, domain=domain, is_async=is_async, timeout_seconds=timeout_seconds
        )

    def events(self, after: int | None = None, *, follow: bool = True, **wanted: str | None) -> Iterator[JsonObject]:
        """Yield events, of the `type=` and `stream=` if given, in the order of their positions.

        With `follow`, those after position `after` (None: from now on), for ever, over broken connections. Without,
        those there are after `after` (None: all), and then it ends.
        """
        chosen = {name: value for name, value in wanted.items() if value is not None}
        if not follow:
            return self._pages_of_events(after or 0, chosen)
        return iter(EventFeed(self._connection, self._journal_position() if after is None else after, chosen))

    def _journal_position(self) -> int:
        journal = self.health().get("journal")
        position = journal.get("position") if isinstance(journal, dict) else None
        return position if isinstance(position, int) else 0

    def _pages_of_events(self, after: int, wanted: dict[str, str]) -> Iterator[JsonObject]:
        while True:
            page = self._get("/events", after=after, limit=EVENTS_PER_PAGE, **wanted)
            events = [event for event in page.get("data") or [] if isinstance(event, dict)]
            yield from events
            reached = max((event["position"] for event in events if isinstance(event.get("position"), int)), default=0)
            following = page.get("next", reached)
            if not isinstance(following, int) or max(following, reached) <= after:
                return
            after = max(following, reached)

    def _get(self, path: str, /, **query: str | int | None) -> JsonObject:
        return json_object(self._connection.request("GET", API + _with_query(path, query)))

    def _send(self, method: Literal["POST", "PUT", "DELETE"], path: str, document: Any = None) -> JsonObject:
        answer = checked(self._connection.request(method, API + path, body=document))
        return json_object(answer) if answer.content else {}


def _with_query(path: str, query: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
