"""Find what answers to a command: the first match wins.

1. `handlers/{command}.py`            2. a function of `agent.py` or the manifest's `module`
3. `handlers/{command}.sh`, or an executable `handlers/{command}`
4. manifest `commands[{command}]`, then the built-in `methods`, then manifest `runTask`
"""

import os
import types
from typing import Any, Dict, List, Optional, Union

from agentcore.external_commands import ExternalCommand
from agentcore.failures import COMMAND_NOT_FOUND, TaskFailure
from agentcore.limits import MAX_CACHED_COMMANDS
from agentcore.manifest import Manifest
from agentcore.methods import METHODS_COMMAND, is_bare_executable, is_command_name, list_methods
from agentcore.python_functions import HandlerFunction, ModuleFunction, find_function, load_handler, load_module
from agentcore.task import Task


class ListMethods:
    """The built-in command `methods`."""

    def __init__(self, agent_directory: str, manifest: Manifest) -> None:
        self._agent_directory = agent_directory
        self._manifest = manifest

    def run(self, _task: Task) -> Any:
        """Give `[{name, doc, params}]`."""
        return list_methods(self._agent_directory, self._manifest)


Answer = Union[HandlerFunction, ModuleFunction, ExternalCommand, ListMethods]


class Commands:
    """Resolve commands, remembering what was found: a warm command costs one look into a dict."""

    def __init__(self, agent_directory: str, manifest: Manifest) -> None:
        self._agent_directory = agent_directory
        self._handlers = os.path.join(agent_directory, "handlers")
        self._manifest = manifest
        self._found: Dict[str, Answer] = {}
        self._method_names: Optional[List[str]] = None
        self._module: Optional[types.ModuleType] = None

    def resolve(self, command: str) -> Answer:
        """Give what answers to the command.

        Raises: TaskFailure INVALID_MANIFEST, COMMAND_NOT_FOUND or NO_HANDLER; what the agent's code raises on import.
        """
        known = self._found.get(command)
        if known is not None:
            return known
        if self._manifest.failure is not None:
            broken = self._manifest.failure
            raise TaskFailure(broken.code, broken.message, broken.details)
        answer = self._look_up(command) if is_command_name(command) else None
        if answer is None:
            raise TaskFailure(COMMAND_NOT_FOUND, f"nothing answers to {command[:128]!r}", {"methods": self._names()})
        if len(self._found) < MAX_CACHED_COMMANDS:  # `runTask` answers to any name: callers must not fill our memory
            self._found[command] = answer
        return answer

    def _names(self) -> List[str]:
        if self._method_names is None:  # read once: wrong names must not cost more than right ones
            self._method_names = [method["name"] for method in list_methods(self._agent_directory, self._manifest)]
        return self._method_names

    def _look_up(self, command: str) -> Optional[Answer]:
        source = os.path.join(self._handlers, f"{command}.py")
        if os.path.isfile(source):
            return load_handler(source, command)
        return self._module_function(command) or self._external(command) or self._manifest_command(command)

    def _module_function(self, command: str) -> Optional[Answer]:
        if self._module is None:
            path = os.path.join(self._agent_directory, self._manifest.module)
            if not os.path.isfile(path):
                return None
            self._module = load_module(path, self._manifest.module[:-3].replace("/", "."))
        return find_function(self._module, command)

    def _external(self, command: str) -> Optional[Answer]:
        script = os.path.join(self._handlers, f"{command}.sh")
        if os.path.isfile(script):
            line = [script] if os.access(script, os.X_OK) else ["/bin/sh", script]
            return ExternalCommand(line, self._agent_directory)
        program = os.path.join(self._handlers, command)
        return ExternalCommand([program], self._agent_directory) if is_bare_executable(program) else None

    def _manifest_command(self, command: str) -> Optional[Answer]:
        line = self._manifest.commands.get(command)
        if line is not None:
            return ExternalCommand(line, self._agent_directory)
        if command == METHODS_COMMAND:
            return ListMethods(self._agent_directory, self._manifest)
        if self._manifest.run_task is not None:
            return ExternalCommand(self._manifest.run_task, self._agent_directory)
        return None
