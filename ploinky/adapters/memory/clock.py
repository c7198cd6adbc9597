"""A clock that moves when it is told to, and identifiers that can be foretold."""

from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)


class ManualClock:
    """The `Clock` port by hand. `advance` moves both times, `step` only the wall clock, as an operator would."""

    def __init__(self, start_at: datetime = START) -> None:
        self._now = start_at
        self._monotonic_seconds = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises `ValueError` when it would run backwards."""
        if seconds < 0:
            raise ValueError("time does not pass backwards; use step for the wall clock")
        self._now += timedelta(seconds=seconds)
        self._monotonic_seconds += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forwards or back."""
        self._now += timedelta(seconds=seconds)


class SequentialIds:
    """The `Ids` port counting upwards: the same run mints the same ids."""

    def __init__(self) -> None:
        self._minted = 0
        self._salted = 0

    def mint(self) -> str:
        self._minted += 1
        return f"{self._minted:020d}"

    def salt(self) -> bytes:
        self._salted += 1
        return self._salted.to_bytes(16, "big")
