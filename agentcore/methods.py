"""List what an agent answers to, by reading its source: importing it here would run its code unasked."""

import ast
import os
from typing import Any, Dict, Iterator, List, Optional, Union

from agentcore.limits import MAX_COMMAND_CHARACTERS, MAX_DOC_CHARACTERS, MAX_LISTED_METHODS, MAX_SOURCE_BYTES
from agentcore.manifest import Manifest

Method = Dict[str, Any]  # {"name": str, "doc": str, "params": [str]}
_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
_KNOWN_SUFFIXES = (".py", ".sh", ".js", ".mjs", ".pyc")

METHODS_COMMAND = "methods"
_BUILT_IN: Method = {"name": METHODS_COMMAND, "doc": "List what this agent answers to.", "params": []}


def is_command_name(command: str) -> bool:
    """Tell whether a command may be looked up at all: never a path, never a private name."""
    return (
        0 < len(command) <= MAX_COMMAND_CHARACTERS
        and "/" not in command
        and ".." not in command
        and command.isprintable()  # neither NUL nor line ends nor lone surrogates
        and not any(part == "" or part.startswith("_") for part in command.split("."))
    )


def is_bare_executable(path: str) -> bool:
    """Tell whether a file in `handlers/` is a command by itself rather than a source with its own rule."""
    return not path.endswith(_KNOWN_SUFFIXES) and os.path.isfile(path) and os.access(path, os.X_OK)


def list_methods(agent_directory: str, manifest: Manifest) -> List[Method]:
    """Give the methods in the order of precedence, each name once."""
    if manifest.failure is not None:
        return []
    found: Dict[str, Method] = {}
    handlers = os.path.join(agent_directory, "handlers")
    for method in _python_handlers(handlers):
        found.setdefault(method["name"], method)
    for method in _module_functions(os.path.join(agent_directory, manifest.module)):
        found.setdefault(method["name"], method)
    for name in _external_handlers(handlers):
        found.setdefault(name, {"name": name, "doc": "", "params": []})
    for name, line in manifest.commands.items():
        found.setdefault(name, {"name": name, "doc": " ".join(line)[:MAX_DOC_CHARACTERS], "params": []})
    found.setdefault(METHODS_COMMAND, _BUILT_IN)
    return [method for method in found.values() if is_command_name(method["name"])][:MAX_LISTED_METHODS]


def _python_handlers(handlers: str) -> Iterator[Method]:
    for file_name in _names_in(handlers):
        if not file_name.endswith(".py"):
            continue
        source = _parse(os.path.join(handlers, file_name))
        if source is None:
            continue
        for function in _functions(source):
            if function.name == "handle":
                yield {"name": file_name[:-3], "doc": _doc(function) or _doc(source), "params": []}


def _module_functions(path: str) -> Iterator[Method]:
    source = _parse(path)
    if source is None:
        return
    exported = _exported_names(source)
    for function in _functions(source):
        if exported is None or function.name in exported:
            yield {"name": function.name, "doc": _doc(function), "params": _params(function)}


def _external_handlers(handlers: str) -> Iterator[str]:
    for file_name in _names_in(handlers):
        path = os.path.join(handlers, file_name)
        if file_name.endswith(".sh") and os.path.isfile(path):
            yield file_name[:-3]
        elif is_bare_executable(path):
            yield file_name


def _names_in(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _parse(path: str) -> Optional[ast.Module]:
    try:
        with open(path, "rb") as file:
            return ast.parse(file.read(MAX_SOURCE_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # calling it tells what is wrong with it


def _functions(source: ast.Module) -> Iterator[_Function]:
    for statement in source.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield statement


def _exported_names(source: ast.Module) -> Optional[List[str]]:
    for statement in source.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, (ast.List, ast.Tuple)):
            continue
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets):
            names = [getattr(element, "value", None) for element in statement.value.elts]
            return [name for name in names if isinstance(name, str)]
    return None


def _doc(node: Union[_Function, ast.Module]) -> str:
    return (ast.get_docstring(node) or "")[:MAX_DOC_CHARACTERS]


def _params(function: _Function) -> List[str]:
    """Name what `params` fills: positional parameters, and the rest as `*name`."""
    arguments = function.args
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args if argument.arg != "context"]
    return names + ([f"*{arguments.vararg.arg}"] if arguments.vararg else [])
