"""Bring the manifest's spellings, grown over three generations, to one form each.

Each function takes a path for its message and an untrusted value. **Raises** `ManifestInvalid` naming both.
"""

import re
import shlex
from typing import Any, NoReturn

from ploinky.domain.errors import ManifestInvalid

COMMAND_LINE_CHARACTERS = 4_096
WORDS = 256
SHOWN_CHARACTERS = 80

_MEMORY = re.compile(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNIT_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def refuse(path: str, value: Any, wanted: str, hint: str = "") -> NoReturn:
    """Refuse a value, named with its path and shown shortened."""
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}..."
    message = f"manifest.json: `{path}` is {shown}; expected {wanted}"
    raise ManifestInvalid(message, hint=hint or "Correct manifest.json and commit it.", path=path)


def command_line(path: str, value: Any) -> list[str]:
    """Split a command line into words as a shell would, without ever asking one; a list of words is one already."""
    if isinstance(value, list):
        words = value
    elif isinstance(value, str) and len(value) <= COMMAND_LINE_CHARACTERS:
        try:
            words = shlex.split(value)
        except ValueError as error:
            refuse(path, value, f"a command line ({error})")
    else:
        refuse(path, value, f"a command line of at most {COMMAND_LINE_CHARACTERS} characters, or a list of words")
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        refuse(path, value, "a command line, or a list of words")
    if len(words) > WORDS or sum(map(len, words)) > COMMAND_LINE_CHARACTERS:
        refuse(path, value, f"at most {WORDS} words of {COMMAND_LINE_CHARACTERS} characters together")
    return words


def memory_bytes(path: str, value: Any) -> int:
    """Read `512m`, `1g`, `256MiB` or a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        refuse(path, value, "a number of bytes, or one like `512m` or `1g`")
    return int(found[1]) * _UNIT_BYTES[found[2].lower()]


def variables(path: str, value: Any) -> list[dict[str, Any]]:
    """Read environment variables: names, `NAME=default`, objects with `varName`, or one object by name."""
    if isinstance(value, dict):
        return [_variable_by_name(f"{path}.{name}", name, content) for name, content in value.items()]
    if not isinstance(value, list):
        refuse(path, value, "a list of names or objects")
    return [_variable(f"{path}[{index}]", item) for index, item in enumerate(value)]


def _variable(path: str, item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        name, equals, default = item.partition("=")
        return {"varName": name, **({"default": default} if equals else {})}
    if isinstance(item, dict):
        known = {"name", "varName", "required", "default", "description"}
        if unknown := sorted(set(item) - known):
            refuse(f"{path}.{unknown[0]}", item[unknown[0]], "one of varName, required, default")
        kept = {key: item[key] for key in ("required", "default") if item.get(key) is not None}
        return {"varName": item.get("varName", item.get("name")), **kept}
    refuse(path, item, "a name, or an object with `varName`")


def _variable_by_name(path: str, name: str, content: Any) -> dict[str, Any]:
    if isinstance(content, dict):
        return _variable(path, {**content, "varName": name})
    return {"varName": name} if content is None else {"varName": name, "default": content}
