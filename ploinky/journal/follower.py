"""Read the journal on from a position and hand every event to a fold."""

from collections.abc import Callable, Sequence

from ploinky.journal.codec import Codec, Recorded
from ploinky.ports.journal_store import READ_LIMIT_ROWS, JournalStore, Record


class Follower:
    """Follow one journal: remembers how far it is."""

    def __init__(self, store: JournalStore, codec: Codec, position: int = 0) -> None:
        """Start after `position`."""
        self._store = store
        self._codec = codec
        self.position = position
        self.last: Record | None = None
        """The newest record read; None before the first."""

    def step(self, fold: Callable[[Sequence[Recorded]], None], limit: int = READ_LIMIT_ROWS) -> int:
        """Fold at most `limit` further events; return how many records were read."""
        records = self._store.read(self.position, limit)
        if records:
            decoded = (self._codec.recorded(record) for record in records)
            fold([recorded for recorded in decoded if recorded is not None])
            self.last = records[-1]
            self.position = self.last.position
        return len(records)

    def catch_up(self, fold: Callable[[Sequence[Recorded]], None]) -> int:
        """Fold everything there is; return the position reached."""
        while self.step(fold):
            pass
        return self.position
