"""Read the part of `manifest.json` that decides how commands are executed."""

import json
import os
import shlex
import sys
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Optional

from agentcore.failures import INVALID_MANIFEST, TaskFailure
from agentcore.limits import MAX_MANIFEST_BYTES


class Manifest(NamedTuple):
    """What the agent's author wrote, checked. Command lines are split already; no shell ever sees them."""

    module: str = "agent.py"
    commands: Mapping[str, List[str]] = MappingProxyType({})
    run_task: Optional[List[str]] = None
    concurrency_workers: Optional[int] = None
    failure: Optional[TaskFailure] = None  # with it, every task fails like this


def read_manifest(agent_directory: str) -> Manifest:
    """Read the agent's manifest; an absent one is an empty one.

    A wrong field is told on stderr and left out; a file that is no JSON object gives a manifest with a `failure`.
    """
    try:
        document = _read_object(os.path.join(agent_directory, "manifest.json"))
    except FileNotFoundError:
        return Manifest()
    except TaskFailure as failure:
        _warn(failure.message)
        return Manifest(failure=failure)
    commands = document.get("commands", {})
    if not isinstance(commands, dict):
        _warn("manifest.json: `commands` is not an object and is left out")
        commands = {}
    lines = {name: _command_line(f"commands.{name}", line) for name, line in commands.items()}
    return Manifest(
        module=_module(document.get("module")),
        commands={name: line for name, line in lines.items() if line is not None},
        run_task=_command_line("runTask", document["runTask"]) if document.get("runTask") is not None else None,
        concurrency_workers=_concurrency(document.get("concurrency")),
    )


def _read_object(path: str) -> Dict[str, Any]:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        _refuse(f"manifest.json cannot be read: {error.strerror}", {})
    if len(raw) > MAX_MANIFEST_BYTES:
        _refuse(f"manifest.json is larger than {MAX_MANIFEST_BYTES} bytes", {})
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno}
        _refuse(f"manifest.json is not JSON: {error.msg} at line {error.lineno} column {error.colno}", place)
    except (ValueError, RecursionError) as error:
        _refuse(f"manifest.json is not JSON: {error}", {})
    if not isinstance(document, dict):
        _refuse("manifest.json does not hold a JSON object", {"line": 1, "column": 1})
    return document


def _module(value: Any) -> str:
    """Give the module's file relative to the agent's folder, for `pkg.mod` and `pkg/mod.py` alike."""
    if value is None:
        return Manifest().module
    if isinstance(value, str) and value:
        path = value if value.endswith(".py") else value.replace(".", "/") + ".py"
        if not path.startswith("/") and ".." not in path.split("/") and "\0" not in path:
            return path
    _warn(f"manifest.json: `module` {value!r} names no file inside the agent, using {Manifest().module}")
    return Manifest().module


def _command_line(field: str, value: Any) -> Optional[List[str]]:
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return list(value)
    try:
        words = shlex.split(value) if isinstance(value, str) else []
    except ValueError as error:
        _warn(f"manifest.json: `{field}` cannot be split into words ({error}) and is left out")
        return None
    if not words:
        _warn(f"manifest.json: `{field}` is not a command line and is left out")
        return None
    return words


def _concurrency(value: Any) -> Optional[int]:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    _warn(f"manifest.json: `concurrency` {value!r} is not a number of 1 or more and is left out")
    return None


def _warn(text: str) -> None:
    print(f"agentcore: {text}", file=sys.stderr)


def _refuse(message: str, details: Dict[str, Any]) -> NoReturn:
    raise TaskFailure(INVALID_MANIFEST, message, details)
