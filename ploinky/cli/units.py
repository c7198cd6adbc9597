"""Numbers the way people read them."""

from datetime import UTC, datetime

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def byte_text(value: object) -> str | None:
    """Write a number of bytes with three digits or so; None for what is none."""
    if not isinstance(value, int | float):
        return None
    amount = float(value)
    for unit in _BYTES[:-1]:
        if amount < _STEP:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _STEP
    return f"{amount:.1f} {_BYTES[-1]}"


def percent_text(value: object) -> str | None:
    """Write a share; None for what is none."""
    return f"{value:.1f} %" if isinstance(value, int | float) else None


def age_text(since: object, now: datetime | None = None) -> str | None:
    """Write how long ago an instant of the API was, as `2h 5m`; None for what is none."""
    if not isinstance(since, str):
        return None
    try:
        began = datetime.fromisoformat(since)
    except ValueError:
        return None
    if began.tzinfo is None:
        return None
    return seconds_text(((now or datetime.now(UTC)) - began).total_seconds())


def seconds_text(seconds: float) -> str:
    """Write a time span by its two largest units."""
    whole = max(0, int(seconds))
    amounts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((index for index, (amount, _) in enumerate(amounts) if amount), len(amounts) - 1)
    return " ".join(f"{amount}{unit}" for amount, unit in amounts[first : first + 2])
