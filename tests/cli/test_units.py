"""Numbers are written the way people read them."""

from datetime import UTC, datetime

import pytest

from ploinky.cli.units import age_text, byte_text, percent_text, seconds_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB"), (5 << 50, "5120.0 TiB"), (None, None)],
)
def test_bytes(value: object, text: str | None) -> None:
    """Each amount has the unit that keeps it short."""
    assert byte_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0.9, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (90_061, "1d 1h"), (86_399, "23h 59m")],
)
def test_time_spans(seconds: float, text: str) -> None:
    """A time span has its two largest units."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2026-01-01T00:00:00Z", "1m 5s"),
        ("2026-01-01T02:00:00+02:00", "1m 5s"),
        ("2026-01-01T00:00:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_ages(since: object, text: str | None) -> None:
    """An age is counted from an instant with its zone; what is none has no age."""
    assert age_text(since, datetime(2026, 1, 1, 0, 1, 5, tzinfo=UTC)) == text


def test_shares() -> None:
    """A share has one digit after the point."""
    assert (percent_text(4.26), percent_text(100), percent_text(None)) == ("4.3 %", "100.0 %", None)
