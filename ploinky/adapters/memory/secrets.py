"""Secrets in memory."""

from ploinky.domain.errors import SecretNotFound, SecretUnreadable, StorageFull


class MemorySecrets:
    """The `SecretStore` port in memory, with two faults to inject."""

    def __init__(self) -> None:
        self.is_full = False
        """Fault injection: nothing can be stored."""
        self.has_other_key = False
        """Fault injection: nothing authenticates."""
        self._values: dict[str, bytes] = {}
        self._count = 0

    def put(self, value: bytes) -> str:
        if self.is_full:
            raise StorageFull
        self._count += 1
        version_id = f"{self._count:032x}"
        self._values[version_id] = value
        return version_id

    def get(self, version_id: str) -> bytes:
        if version_id not in self._values:
            raise SecretNotFound
        if self.has_other_key:
            raise SecretUnreadable
        return self._values[version_id]

    def remove(self, version_id: str) -> None:
        self._values.pop(version_id, None)
