"""Understand what a server answered, without trusting it to be one of ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ploinky.client.errors import ApiError

JsonObject = dict[str, Any]

CODE_LIMIT_CHARACTERS = 100
MESSAGE_LIMIT_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_json(self) -> bool:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/json" or kind.endswith("+json")

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def checked(answer: Answer) -> Answer:
    """Give the answer back when it is a success. **Raises** `ApiError` otherwise."""
    if 200 <= answer.status < 300:
        return answer
    raise refusal(answer)


def json_object(answer: Answer) -> JsonObject:
    """Read a success as a JSON object. **Raises** `ApiError` when it is none."""
    value = json_value(checked(answer))
    if isinstance(value, dict):
        return value
    raise unreadable(answer, "the answer is not a JSON object")


def json_objects(answer: Answer) -> list[JsonObject]:
    """Read a success as a list of JSON objects. **Raises** `ApiError` when it is none."""
    value = json_value(checked(answer))
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise unreadable(answer, "the answer is not a list of JSON objects")


def json_value(answer: Answer) -> Any:
    """Read whatever JSON the answer holds. **Raises** `ApiError` when it is none."""
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise unreadable(answer, "the answer is not JSON") from error


def unreadable(answer: Answer, why: str) -> ApiError:
    """Say that this is no answer of a Ploinky server."""
    hint = "Is this the address of a Ploinky server?"
    return ApiError(answer.status, "UNREADABLE_ANSWER", why, details={"hint": hint})


def refusal(answer: Answer) -> ApiError:
    """Turn an answer in the error format into an exception; anything else becomes `HTTP_<status>`."""
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("code"), str):
        return _foreign_refusal(answer)
    details, request_id = document.get("details"), document.get("requestId")
    return ApiError(
        answer.status,
        document["code"][:CODE_LIMIT_CHARACTERS],
        str(document.get("message") or document["code"])[:MESSAGE_LIMIT_CHARACTERS],
        details=details if isinstance(details, dict) else {},
        request_id=request_id if isinstance(request_id, str) else None,
    )


def _foreign_refusal(answer: Answer) -> ApiError:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "unknown status"
    message = f"the server answered {answer.status} {phrase}"
    details = {"hint": "Is this the address of a Ploinky server?"}
    return ApiError(answer.status, f"HTTP_{answer.status}", message, details=details)
