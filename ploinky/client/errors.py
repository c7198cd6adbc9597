"""What can go wrong between a client and its server.

ClientError
├── AddressInvalid      the URL or the key cannot be used as it is written
├── ConnectionFailed    no answer came
└── ApiError            the server answered that it will not, or something that is no answer of Ploinky
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Something went wrong while talking to the server."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        """Take what to show to people and what programs test for."""
        self.message = message
        self.code = code
        self.hint = hint
        super().__init__(message)


class AddressInvalid(ClientError):
    """The server's URL, or the key for it, cannot be used as it is written."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, code="ADDRESS_INVALID", hint=hint)


class ConnectionFailed(ClientError):
    """No answer came: nothing listens there, or the connection broke or was silent for too long."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        hint = "Is the server running? Start one with `ploinky start`, or name another with --url."
        super().__init__(f"no answer from {url}: {reason}", code="CONNECTION_FAILED", hint=hint)


class ApiError(ClientError):
    """The server refused, failed, or answered with something that cannot be understood."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Take over the fields of the error format; the hint is one of its details."""
        self.status = status
        self.details = dict(details or {})
        self.request_id = request_id
        hint = self.details.get("hint")
        super().__init__(message, code=code, hint=hint if isinstance(hint, str) else "")
