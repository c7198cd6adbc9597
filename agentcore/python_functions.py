"""Load the agent's Python functions once and call them as their signature asks."""

import asyncio
import importlib.util
import inspect
import os
import sys
import types
from typing import Any, Callable, List, Optional

from agentcore.context import Context
from agentcore.failures import NO_HANDLER, TaskFailure
from agentcore.task import Task

# One loop per process on purpose: clients that handlers keep open are bound to it.
_loops: List[asyncio.AbstractEventLoop] = []


class HandlerFunction:
    """`handle(params, context)` of `handlers/{command}.py`; a `handle(params)` is called without the context."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes_context = _takes_two(function)

    def run(self, task: Task) -> Any:
        """Call the handler and give its result, awaited where it is to be. Raises: whatever it raises."""
        if self._takes_context:
            return finish(self._function(task.params, Context(task)))
        return finish(self._function(task.params))


class ModuleFunction:
    """A function of the agent's module, called as `f(*params)`, with `context=` where it takes one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes_context = _takes_context_keyword(function)

    def run(self, task: Task) -> Any:
        """Call the function and give its result, awaited where it is to be. Raises: whatever it raises."""
        if self._takes_context:
            return finish(self._function(*task.params, context=Context(task)))
        return finish(self._function(*task.params))


def load_handler(path: str, command: str) -> HandlerFunction:
    """Load a handler file.

    Raises: TaskFailure NO_HANDLER when it defines no `handle`; whatever the file raises when it is imported.
    """
    function = getattr(load_module(path, f"handlers.{command}"), "handle", None)
    if not callable(function):
        raise TaskFailure(NO_HANDLER, f"handlers/{command}.py defines no function `handle`")
    return HandlerFunction(function)


def find_function(module: types.ModuleType, command: str) -> Optional[ModuleFunction]:
    """Give the module's function of that name, or None.

    What the module merely imported is no command: `from os import system` must not open a shell to callers. With an
    `__all__`, that list decides.
    """
    function = vars(module).get(command)
    exported = vars(module).get("__all__")
    if not callable(function) or inspect.isclass(function):
        return None
    is_own = getattr(function, "__module__", None) == module.__name__
    if not (is_own if exported is None else command in exported):
        return None
    return ModuleFunction(function)


def load_module(path: str, name: str) -> types.ModuleType:
    """Import the file at path under that name, or give the module that other code imported from it already.

    Raises: whatever the file raises when it is imported; it is then not kept.
    """
    present = sys.modules.get(name)
    if present is not None:
        if os.path.realpath(getattr(present, "__file__", None) or "") == os.path.realpath(path):
            return present
        name = f"agent:{name}"  # a library has this name already and keeps it
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def finish(result: Any) -> Any:
    """Give the result, or what it awaits, on an event loop that lives as long as the worker."""
    if not hasattr(result, "__await__"):
        return result
    if not _loops or _loops[0].is_closed():
        _loops[:] = [asyncio.new_event_loop()]
        asyncio.set_event_loop(_loops[0])
    return _loops[0].run_until_complete(_awaited(result))


async def _awaited(result: Any) -> Any:
    return await result


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except ValueError:  # no signature to be had: a function of C
        return True
    except TypeError:
        return False
    return True


def _takes_context_keyword(function: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(function).parameters.get("context")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
