"""Read and write RFC 3339 instants; Python 3.8's `fromisoformat` knows neither `Z` nor short fractions."""

import re
from datetime import datetime, timedelta, timezone

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))")


def instant_text(epoch_seconds: float) -> str:
    """Give the instant as RFC 3339 UTC with microseconds and `Z`."""
    return datetime.fromtimestamp(epoch_seconds, timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Give the aware UTC datetime of an RFC 3339 text.

    Raises: ValueError when the text is not one.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 instant: {text[:64]!r}")
    day, time_of_day, fraction, sign, hours, minutes = match.groups()
    local = datetime.fromisoformat(f"{day} {time_of_day}")
    microseconds = int(((fraction or "") + "000000")[:6])
    offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
    if sign == "-":
        offset = -offset
    try:
        return (local + timedelta(microseconds=microseconds) - offset).replace(tzinfo=timezone.utc)
    except OverflowError as error:
        raise ValueError(f"instant out of range: {text!r}") from error
