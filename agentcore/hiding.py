"""Keep secrets of the environment out of what a failure tells its caller.

Which variables are secret: those named in `PLOINKY_SECRET_NAMES` (comma separated), those whose name says so, and
addresses that carry a password.
"""

import re
from typing import Any, Mapping, Tuple

_MIN_SECRET_CHARACTERS = 4  # hiding shorter values would garble every text and protect nothing
_SECRET_NAME = re.compile(r"secret|token|passw|passphrase|api_?key|private|credential|_key$|^key_", re.IGNORECASE)
_ADDRESS_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


class Hider:
    """Replace secret values by `[hidden NAME]`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = {name.strip() for name in environment.get("PLOINKY_SECRET_NAMES", "").split(",")}
        self._names = {
            value: name
            for name, value in environment.items()
            if len(value) >= _MIN_SECRET_CHARACTERS and name != "PLOINKY_SECRET_NAMES"
            if name in named or _SECRET_NAME.search(name) or _ADDRESS_WITH_PASSWORD.search(value)
        }
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(value) for value in longest_first)) if longest_first else None

    def hide(self, text: str, task_token: str = "") -> str:
        """Give the text without secrets, nor the token of the attempt."""
        if len(task_token) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(task_token, "[hidden token]")
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[hidden {self._names[found.group()]}]", text)

    def hide_in(self, details: Any, task_token: str = "") -> Any:
        """Give a copy of JSON details with the secrets hidden in every text of it."""
        if isinstance(details, str):
            return self.hide(details, task_token)
        if isinstance(details, dict):
            return {key: self.hide_in(value, task_token) for key, value in details.items()}
        if isinstance(details, list):
            return [self.hide_in(value, task_token) for value in details]
        return details


def tail_of(text: str, limit_bytes: int) -> Tuple[str, bool]:
    """Give the end of a text in at most that many bytes of UTF-8, and whether anything was cut."""
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= limit_bytes:
        return encoded.decode("utf-8"), False
    return encoded[-limit_bytes:].decode("utf-8", "ignore"), True
