"""Logs in memory."""

from ploinky.adapters.file_logs import LOG_LIMIT_BYTES, TAIL_LIMIT_BYTES, check_deployment, log_names, newest_lines
from ploinky.domain.errors import StorageFull


class MemoryLogStore:
    """The `LogStore` port in memory, with a fault to inject."""

    def __init__(self) -> None:
        self.is_full = False
        """Fault injection: nothing can be kept."""
        self._logs: dict[tuple[str, str], bytes] = {}

    def path(self, instance_id: str) -> str:
        """Return a name of the instance's own; nothing can be written there."""
        return "/".join(("/dev/null", *log_names(instance_id)))

    def save(self, instance_id: str, content: bytes) -> None:
        names = log_names(instance_id)
        if not content:
            return
        if self.is_full:
            raise StorageFull
        self._logs[names] = bytes(content[-LOG_LIMIT_BYTES:])

    def tail(self, instance_id: str, lines: int) -> bytes:
        return newest_lines(self._logs.get(log_names(instance_id), b"")[-TAIL_LIMIT_BYTES:], lines)

    def prune(self, deployment_id: str, first_generation: int) -> None:
        check_deployment(deployment_id)
        for names in [names for names in self._logs if names[0] == deployment_id]:
            if int(names[1].partition("-")[0]) < first_generation:
                del self._logs[names]

    def discard(self, deployment_id: str) -> None:
        check_deployment(deployment_id)
        for names in [names for names in self._logs if names[0] == deployment_id]:
            del self._logs[names]
