"""Read a request to a deployment as a command with params. What the rules cannot read is refused, never guessed."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from ploinky.domain.errors import Invalid

COMMAND_LIMIT_CHARACTERS = 128
DEFAULT_COMMAND = "index"
QUERY_LIMIT_FIELDS = 1_000
CONTROL_FIELDS = frozenset({"async", "token"})
"""Query fields that are for us, not for the agent."""
NOT_FOR_AGENTS = frozenset(
    {b"authorization", b"cookie", b"proxy-authorization", b"x-api-key", b"idempotency-key", b"prefer"}
)


class TaskRequest(NamedTuple):
    """What a request asks an agent to do."""

    command: str
    params: bytes
    """A JSON array."""


def classify(rest: str, query: str, content_type: str, body: bytes) -> TaskRequest:
    """Return what a request asks for.

    `rest` is the raw path below the deployment. A body that parses as a JSON object is one, whatever its type says;
    its `command` wins over the last segment of the path, its `params` over its other values. Any other body is one
    param. The values of the query follow. Raises `Invalid`.
    """
    command: Any = _path_command(rest)
    params: list[Any] = []
    if body.strip():
        document = _document(content_type, body)
        if isinstance(document, dict):
            command, params = _from_object(document, command)
        else:
            params = [document]
    if not isinstance(command, str) or not 0 < len(command) <= COMMAND_LIMIT_CHARACTERS:
        raise Invalid("`command` must be a name of at most 128 characters", command=str(command)[:200])
    if query:
        params += [value for name, value in _fields(query) if name not in CONTROL_FIELDS]
    return TaskRequest(command, msgspec.json.encode(params))


def _path_command(rest: str) -> str:
    try:
        return unquote(rest.rpartition("/")[2], errors="strict") or DEFAULT_COMMAND
    except UnicodeDecodeError as error:
        raise Invalid("The command in the path is not UTF-8") from error


def _fields(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_LIMIT_FIELDS)
    except UnicodeDecodeError as error:
        raise Invalid("The query is not UTF-8") from error
    except ValueError as error:
        raise Invalid(f"The query has more than {QUERY_LIMIT_FIELDS} fields") from error


def _document(content_type: str, body: bytes) -> Any:
    is_json = "json" in content_type
    if is_json or body.lstrip()[:1] == b"{":
        try:
            document = msgspec.json.decode(body)
        except RecursionError as error:
            raise Invalid("The body is nested too deeply") from error
        except msgspec.DecodeError as error:
            if is_json:
                raise Invalid(f"The body is not JSON: {error}") from error
        else:
            if is_json or isinstance(document, dict):
                return document
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Invalid("The body is neither JSON nor UTF-8 text") from error


def _from_object(document: dict[str, Any], path_command: str) -> tuple[Any, list[Any]]:
    command = document.get("command", path_command)
    if "params" not in document:
        return command, [value for name, value in document.items() if name != "command"]
    params = document["params"]
    if params is None:
        return command, []
    return command, list(params) if isinstance(params, list) else [params]


def headers_for_agent(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return a request's headers without what authenticates its caller to us."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name not in NOT_FOR_AGENTS}
