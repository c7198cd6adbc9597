"""Errors as callers see them: one format, one table of statuses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ploinky.domain import errors as e

STATUSES: Mapping[type[e.PloinkyError], int] = {
    e.Invalid: 400,
    e.BodyTooLarge: 413,
    e.HeadersTooLarge: 431,
    e.TransitionInvalid: 409,
    e.NotFound: 404,
    e.Conflict: 409,
    e.VersionConflict: 412,
    e.Unauthenticated: 401,
    e.Denied: 403,
    e.Overloaded: 429,
    e.AgentUnreachable: 502,
    e.AgentTimeout: 504,
    e.Unavailable: 503,
    e.StorageFull: 507,
    e.JournalFull: 507,
    e.OutcomeUnknown: 500,
    e.PloinkyError: 500,
}
TASK_STATUSES: Mapping[str, int] = {
    "COMMAND_NOT_FOUND": 404,
    "NO_HANDLER": 404,
    "CANCELLED": 409,
    "TASK_TIMEOUT": 504,
    "TASK_LOST": 502,
    "OUTCOME_UNKNOWN": 500,
}
"""By the code a task ended with; every other code is the handler's failure, 500."""
RETRY_AFTER_SECONDS = 1


def status_of(error: e.PloinkyError) -> int:
    """Return the HTTP status of an error: the nearest entry up its tree."""
    return next(STATUSES[parent] for parent in type(error).__mro__ if parent in STATUSES)


def problem(code: str, message: str, details: Mapping[str, Any], request_id: str) -> bytes:
    """Return an error in the one format that every front answers with."""
    document = {
        "error": True,
        "code": code,
        "message": message,
        "details": details,
        "timestamp": timestamp(),
        "requestId": request_id,
    }
    return msgspec.json.encode(document, enc_hook=str)


def problem_of(error: e.PloinkyError, request_id: str) -> bytes:
    """Return a `PloinkyError` in the one format, its advice among the details."""
    details = {**error.details, **({"hint": error.advice} if error.advice else {})}
    return problem(error.code, error.message, details, request_id)


def timestamp() -> str:
    """Return the present instant as RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
