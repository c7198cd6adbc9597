"""Call an agent through the server's gateway."""

from dataclasses import dataclass
from typing import Any

from ploinky.client.address import Address, host_header, quote_path
from ploinky.client.answers import Answer, JsonObject, checked, json_value
from ploinky.client.connection import Connection
from ploinky.client.errors import AddressInvalid

ACCEPTED = 202


@dataclass(frozen=True, slots=True)
class Called:
    """What became of a call. `data` is the agent's: JSON as Python has it, other content as text or bytes."""

    task_id: str | None
    data: Any
    is_finished: bool
    location: str | None
    """Where an unfinished task can be read, as a path on the server."""


def call_agent(
    connection: Connection,
    path: str,
    command: JsonObject,
    *,
    domain: str | None,
    is_async: bool,
    timeout_seconds: float | None,
) -> Called:
    """Send a command to whoever answers at `path`. **Raises** `AddressInvalid`, and as `Connection.request` does."""
    if not path.startswith("/"):
        raise AddressInvalid(f"{path!r} is not a path", "A path starts with `/`.")
    headers: dict[str, str] = {}
    if domain is not None and domain != connection.address.host:
        headers["Host"] = _host_of(domain, connection.address)
    if is_async:
        headers["Prefer"] = "respond-async"
    answer = connection.request(
        "POST", quote_path(path), body=command, headers=headers, timeout_seconds=timeout_seconds
    )
    return _called(checked(answer))


def _host_of(domain: str, address: Address) -> str:
    if not domain.isascii() or not domain.isprintable() or " " in domain or "/" in domain:
        raise AddressInvalid(f"{domain!r} is not a domain", "Use a host name without a port.")
    return host_header(domain, address.port)


def _called(answer: Answer) -> Called:
    task_id = answer.headers.get("x-ploinky-task")
    if answer.status != ACCEPTED:
        return Called(task_id, _content_of(answer), is_finished=True, location=None)
    document = json_value(answer) if answer.is_json and answer.content else {}
    fields = document if isinstance(document, dict) else {}
    named = fields.get("id", task_id)
    location = answer.headers.get("location") or fields.get("location")
    is_path = isinstance(location, str) and location.startswith("/") and not location.startswith("//")
    return Called(
        named if isinstance(named, str) else task_id,
        document,
        is_finished=False,
        location=location if is_path else None,
    )


def _content_of(answer: Answer) -> Any:
    if answer.is_json:
        return json_value(answer) if answer.content else None
    try:
        return answer.content.decode()
    except UnicodeDecodeError:
        return answer.content
