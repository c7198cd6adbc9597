"""Secret values, known to the rest of the system by version id only."""

from typing import Protocol


class SecretStore(Protocol):
    """Keep secret bytes encrypted at rest.

    **Errors**: `SecretNotFound` for an unknown version, `SecretUnreadable` when the stored bytes do not authenticate
    under the key (wrong key file, or tampered with), `StorageFull` on a full disk. No error text ever holds a value.
    """

    def put(self, value: bytes) -> str:
        """Store durably and return a new version id. Two equal values get two ids."""

    def get(self, version_id: str) -> bytes:
        """Return the value."""

    def remove(self, version_id: str) -> None:
        """Forget it. Idempotent."""


class Signer(Protocol):
    """Make and check short unforgeable tokens from this installation's key (HMAC-SHA256), never stored anywhere."""

    def token(self, purpose: str, subject: str) -> str:
        """Return the token of one subject for one purpose: URL-safe characters, always the same for the same key."""

    def is_valid(self, purpose: str, subject: str, token: str) -> bool:
        """Compare in constant time."""
