"""Tell the system's time, and mint identifiers from it."""

import os
import threading
import time
from datetime import UTC, datetime

SALT_BYTES = 16
BLOCK_ITEMS = 1_024

_ALPHABET = b"0123456789abcdefghijklmnopqrstuv"
_EPOCH_MICROSECONDS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_RANDOM_CHARACTERS = 10
# Any byte to one of 32 characters: 256 is a multiple of 32, so each is as likely as the others.
_TO_CHARACTER = bytes(_ALPHABET[byte % 32] for byte in range(256))
# Ten bits to two characters, which is five look-ups for the 50 bits of time.
_PAIRS = tuple(chr(_ALPHABET[ten_bits >> 5]) + chr(_ALPHABET[ten_bits & 31]) for ten_bits in range(1_024))


class SystemClock:
    """The `Clock` port over the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class TimeOrderedIds:
    """The `Ids` port: 50 bits of microseconds since 2020, then 50 random ones. Safe to share between threads.

    Within a process an id is always greater than those before, also when the clock steps back. Randomness is taken from
    the system in blocks, since one system call per task costs more than the rest of the minting.
    """

    _last: int
    _lock: threading.Lock

    def __init__(self) -> None:
        self._forget()
        # A forked child would otherwise hand out what its parent hands out.
        os.register_at_fork(after_in_child=self._forget)

    def mint(self) -> str:
        # list.pop is atomic, so no two threads get one item; only the time needs the lock.
        try:
            random_part = self._suffixes.pop()
        except IndexError:
            random_part = self._refill_suffixes()
        with self._lock:
            instant = time.time_ns() // 1_000 - _EPOCH_MICROSECONDS
            if instant <= self._last:
                instant = self._last + 1
            self._last = instant
        pairs = _PAIRS
        return (
            pairs[instant >> 40 & 1023]
            + pairs[instant >> 30 & 1023]
            + pairs[instant >> 20 & 1023]
            + pairs[instant >> 10 & 1023]
            + pairs[instant & 1023]
            + random_part
        )

    def salt(self) -> bytes:
        try:
            return self._salts.pop()
        except IndexError:
            return self._refill_salts()

    def _refill_suffixes(self) -> str:
        characters = os.urandom(_RANDOM_CHARACTERS * BLOCK_ITEMS).translate(_TO_CHARACTER).decode("ascii")
        starts = range(0, len(characters), _RANDOM_CHARACTERS)
        first, *rest = [characters[start : start + _RANDOM_CHARACTERS] for start in starts]
        self._suffixes += rest
        return first

    def _refill_salts(self) -> bytes:
        block = os.urandom(SALT_BYTES * BLOCK_ITEMS)
        first, *rest = [block[start : start + SALT_BYTES] for start in range(0, len(block), SALT_BYTES)]
        self._salts += rest
        return first

    def _forget(self) -> None:
        self._lock = threading.Lock()  # the parent's may have been held while it forked
        self._suffixes: list[str] = []
        self._salts: list[bytes] = []
        self._last = -1
