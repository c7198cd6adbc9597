"""Configuration in layers: files, the environment and options are read into trees, joined, and held to a schema.

Objects merge, everything else replaces, arrays included. Each value remembers where it came from.
"""

import difflib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec

from ploinky.domain.errors import ConfigurationInvalid

CONFIGURATION_FILE_BYTES = 1024 * 1024
NESTING_LEVELS = 20
SHOWN_VALUE_CHARACTERS = 80

ENVIRONMENT_PREFIX = "PLOINKY_"
NESTING_SEPARATOR = "__"


class Given(NamedTuple):
    """A value, or an object of further ones, and where it came from."""

    value: "Any | dict[str, Given]"
    origin: str
    is_text: bool = False
    """Read from the environment, where everything is text: numbers and truth values are read out of it."""


Tree = dict[str, Given]


def camel_case(name: str) -> str:
    """Spell `max_containers` or `MAX_CONTAINERS` as `maxContainers`; leaves what is in camel case as it is."""
    first, *others = (name if "_" not in name and not name.isupper() else name.lower()).split("_")
    return first + "".join(word.capitalize() for word in others)


def variable_name(key: str) -> str:
    """Return the environment variable of a key: `a.maxContainers` is `PLOINKY_A__MAX_CONTAINERS`."""
    spelled = "".join(f"_{letter}" if letter.isupper() else letter for letter in key)
    return ENVIRONMENT_PREFIX + spelled.replace(".", NESTING_SEPARATOR).upper()


def file_layer(path: Path) -> Tree:
    """Read one file; without it the layer is empty. Raises `ConfigurationInvalid`, with line and column."""
    try:
        text = _read(path)
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationInvalid(f"{path} cannot be read: {error.strerror}", hint="Check who may read it.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationInvalid(f"{path} is not valid JSON: {error.msg} ({where})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid(f"{path} is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationInvalid(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationInvalid(f"{path} must hold a JSON object", hint='For example {"port": 8000}.')
    return _tree(document, str(path), NESTING_LEVELS)


def _read(path: Path) -> str:
    # Not blocking, so that a pipe of this name is refused instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationInvalid(f"{path} is no file")
        content = os.pread(descriptor, CONFIGURATION_FILE_BYTES + 1, 0)
    finally:
        os.close(descriptor)
    if len(content) > CONFIGURATION_FILE_BYTES:
        raise ConfigurationInvalid(f"{path} has more than {CONFIGURATION_FILE_BYTES} bytes")
    return content.decode("utf-8-sig")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _tree(document: Mapping[str, Any], origin: str, levels: int) -> Tree:
    if not levels:
        raise ConfigurationInvalid(f"{origin} is nested more than {NESTING_LEVELS} levels deep")
    return {
        name: Given(_tree(value, origin, levels - 1) if isinstance(value, dict) else value, origin)
        for name, value in document.items()
    }


def environment_layer(environ: Mapping[str, str], ignored: frozenset[str]) -> Tree:
    """Read the variables that start with `PLOINKY_` and are not `ignored`; an empty one counts as not set."""
    tree: Tree = {}
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in ignored or not environ[name]:
            continue
        *outer, last = map(camel_case, name.removeprefix(ENVIRONMENT_PREFIX).split(NESTING_SEPARATOR))
        branch = tree
        for part in outer[:NESTING_LEVELS]:
            if not isinstance(branch.get(part, Given(None, name)).value, dict):
                branch[part] = Given({}, name, is_text=True)
            branch = branch[part].value
        branch[last] = Given(environ[name], name, is_text=True)
    return tree


def option_layer(options: Mapping[str, object], origin: str) -> Tree:
    """Take values by their name in either spelling; None counts as not given."""
    return _tree(
        {camel_case(name): value for name, value in options.items() if value is not None}, origin, NESTING_LEVELS
    )


def merged(lower: Tree, upper: Tree) -> Tree:
    """Join two layers; where both have something, objects merge and everything else is replaced by the upper one."""
    joined = {**lower, **upper}
    for name in lower.keys() & upper.keys():
        below, above = lower[name], upper[name]
        if isinstance(below.value, dict) and isinstance(above.value, dict):
            joined[name] = Given(merged(below.value, above.value), above.origin, above.is_text)
    return joined


def settle(schema: type[msgspec.Struct], tree: Tree, within: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Validate a tree by the schema; return the values by attribute name, and by key where each came from.

    Raises `ConfigurationInvalid` for an unknown key and for a value that does not fit.
    """
    hints = get_type_hints(schema, include_extras=True)
    attributes = dict(zip(schema.__struct_encode_fields__, schema.__struct_fields__, strict=True))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, given in tree.items():
        key = within + name
        if name not in attributes:
            raise _unknown(key, given, [within + known for known in attributes])
        attribute = attributes[name]
        inner = hints[attribute]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            if not isinstance(given.value, dict):
                raise refused(key, given, "an object")
            inner_values, inner_origins = settle(inner, given.value, f"{key}.")
            values[attribute] = inner(**inner_values)
            origins.update(inner_origins)
        else:
            values[attribute] = _converted(key, given, inner)
            origins[key] = given.origin
    return values, origins


def _converted(key: str, given: Given, wanted: Any) -> Any:
    plain = _plain(given)
    try:
        if given.is_text and isinstance(plain, str) and plain[0] in "[{":
            plain = msgspec.json.decode(plain)
        return msgspec.convert(plain, wanted, strict=not given.is_text)
    except msgspec.MsgspecError as error:
        raise refused(key, given, allowed(wanted) or str(error)) from error


def _plain(given: Given) -> Any:
    if isinstance(given.value, dict):
        return {name: _plain(inner) for name, inner in given.value.items()}
    return given.value


def allowed(wanted: Any) -> str:
    """Say in words what a type allows; empty when it carries no description."""
    descriptions = (item.description for item in getattr(wanted, "__metadata__", ()) if isinstance(item, msgspec.Meta))
    return "true or false" if wanted is bool else next((text for text in descriptions if text), "")


def refused(key: str, given: Given, what_is_allowed: str) -> ConfigurationInvalid:
    """Make the error that names key, value, origin and what is allowed."""
    message = f"{key} cannot be {shown(_plain(given))} (from {given.origin})"
    return ConfigurationInvalid(message, hint=f"{key} is {what_is_allowed}.", key=key, origin=given.origin)


def _unknown(key: str, given: Given, known: Iterable[str]) -> ConfigurationInvalid:
    if given.is_text:
        # Its value is not shown: a mistyped name may hold a key.
        message, names = f"The environment variable {given.origin} is unknown", [variable_name(name) for name in known]
        nearest = difflib.get_close_matches(given.origin, names, n=1)
    else:
        names = list(known)
        message = f"The key {shown(key)} with value {shown(_plain(given))} is unknown (from {given.origin})"
        nearest = difflib.get_close_matches(key, names, n=1) or [n for n in names if n.lower() == key.lower()]
    hint = f"Did you mean {nearest[0]}?" if nearest else f"Known are {', '.join(names)}."
    return ConfigurationInvalid(message, hint=hint, key=key, origin=given.origin)


def shown(value: object) -> str:
    """Write a value as JSON on one line, shortened."""
    text = json.dumps(value, default=str, ensure_ascii=True)
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else text[: SHOWN_VALUE_CHARACTERS - 3] + "..."
