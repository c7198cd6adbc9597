"""Remember which attempts wait, and which were seen: in memory only, the claim on disk is the truth."""

from collections import OrderedDict, deque
from typing import Deque, Iterable, Optional

from agentcore.limits import MAX_PENDING_ATTEMPTS, MAX_REMEMBERED_ATTEMPTS


class RecentNames:
    """The last so many names, oldest forgotten first."""

    def __init__(self, limit_names: int) -> None:
        self._limit_names = limit_names
        self._names: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember a name, at the cost of the oldest."""
        self._names[name] = None
        if len(self._names) > self._limit_names:
            self._names.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forget a name; idempotent."""
        self._names.pop(name, None)


class Backlog:
    """Attempts that are not claimed yet, in the order in which they were heard of."""

    def __init__(
        self, limit_pending: int = MAX_PENDING_ATTEMPTS, limit_remembered: int = MAX_REMEMBERED_ATTEMPTS
    ) -> None:
        self._limit_pending = limit_pending
        self._pending: Deque[str] = deque()
        self._seen = RecentNames(limit_remembered)
        self.is_cut = False  # True: more was offered than fits, a scan has to offer it again

    def offer(self, names: Iterable[str]) -> None:
        """Take the names that were not seen before, as many as fit."""
        for name in names:
            if name in self._seen:
                continue
            if len(self._pending) >= self._limit_pending:
                self.is_cut = True
                return
            self._seen.add(name)
            self._pending.append(name)

    def next(self) -> Optional[str]:
        """Take the next attempt, or None when none waits."""
        return self._pending.popleft() if self._pending else None

    def offer_again_later(self, name: str) -> None:
        """Forget an attempt that could not be claimed now; a later scan offers it again."""
        self._seen.forget(name)

    def __len__(self) -> int:
        return len(self._pending)
