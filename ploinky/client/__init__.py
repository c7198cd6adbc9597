"""Talk to a Ploinky server from Python. Needs nothing but the standard library."""

from ploinky.client.answers import JsonObject
from ploinky.client.api import PloinkyClient
from ploinky.client.calls import Called
from ploinky.client.errors import AddressInvalid, ApiError, ClientError, ConnectionFailed
from ploinky.client.execution import ExecResult

__all__ = [
    "AddressInvalid",
    "ApiError",
    "Called",
    "ClientError",
    "ConnectionFailed",
    "ExecResult",
    "JsonObject",
    "PloinkyClient",
]
