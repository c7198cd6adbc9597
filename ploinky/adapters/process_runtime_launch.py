"""What an agent that runs as a plain process gets: its command, its environment, its limits."""

import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ploinky.adapters.docker_runtime_places import binds
from ploinky.adapters.process_runtime_confinement import (
    CLEAN_ENVIRONMENT,
    SYSTEM_PATH,
    AgentPython,
    Confinement,
    entry_command,
    with_agent_python,
)
from ploinky.adapters.process_runtime_groups import Limits
from ploinky.adapters.process_runtime_identity import MARKER_VARIABLE
from ploinky.adapters.process_runtime_places import (
    inner_directory,
    inner_environment,
    outer_directory,
    outer_environment,
)
from ploinky.adapters.process_runtime_ports import LOOPBACK
from ploinky.adapters.process_runtime_sandbox import PROCESSES, TEMPORARY_DIRECTORY, sandbox_command
from ploinky.adapters.process_runtime_shim import FAILURE_TEXT_BYTES, INFO_DESCRIPTOR
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import InstanceSpec

MAX_OPEN_FILES = 4096
MAX_FILE_BYTES = 2 * 1024 * 1024 * 1024
INSTANCES_OF_ONE_USER = 4
"""Without control groups the kernel counts a user's processes, so those of all instances of a deployment together."""
START_WAIT_SECONDS = 15.0
SHIM_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]);"
    "import process_runtime_shim as shim, process_runtime_writer as writer;"
    "sys.exit(shim.main(sys.argv[2], writer.start))"
)
"""Our folder comes last, so that nothing in it hides a module of Python's."""


class Launch(NamedTuple):
    """What is to be run, and what of it has to be cleared away if the shim cannot."""

    document: dict[str, Any]
    """For the shim. It holds the agent's secrets, and is removed as soon as it is read."""
    groups: tuple[str, ...]
    temporary: str
    """A private folder for the agent's temporary files; empty where the sandbox has one in memory."""


def plan_launch(spec: InstanceSpec, engine_id: str, confinement: Confinement, temporary: Path, port: int) -> Launch:
    """Say what the shim shall run. Raises `RuntimeRefused` when no Python can be started for agents.

    `memory_bytes` bounds an agent where control groups can be made. Elsewhere it bounds what each single process may
    allocate (`RLIMIT_DATA`: not `RLIMIT_AS`, which counts address space that is only reserved).
    """
    python = confinement.python
    if python is None:
        hint = "Install python3 (3.8 or newer) for all users, or bubblewrap."
        raise RuntimeRefused(confinement.why_no_python, hint=hint)
    is_sandboxed = confinement.bubblewrap is not None
    groups = confinement.groups.of(engine_id, _limits(spec, is_sandboxed=is_sandboxed))
    own_temporary = "" if is_sandboxed else str(temporary)
    document = {
        "command": _outer_command(spec, confinement, python),
        "order": {
            "user_id": spec.user_id if confinement.has_own_user else None,
            "parent_pid": None,
            "directory": inner_directory(spec) if is_sandboxed else outer_directory(spec),
            "limits": _resource_limits(spec, confinement),
            "command": with_agent_python(spec.command, python),
            "environment": _environment(spec, engine_id, python, own_temporary, port),
        },
        "environment": CLEAN_ENVIRONMENT,
        "directory": outer_directory(spec),
        "log": [spec.log_path, spec.log_file_bytes, spec.log_file_count],
        "is_sandboxed": is_sandboxed,
        "temporary": own_temporary,
        "groups": groups,
        "memory_events": confinement.groups.memory_events(engine_id),
    }
    return Launch(document, tuple(groups), own_temporary)


def _limits(spec: InstanceSpec, *, is_sandboxed: bool) -> Limits:
    return Limits(spec.memory_bytes, spec.pids + (PROCESSES if is_sandboxed else 0), spec.cpus)


def _outer_command(spec: InstanceSpec, confinement: Confinement, python: AgentPython) -> list[str]:
    if confinement.bubblewrap is None:
        # Still as the server's user, so with a Python that only it may be able to read.
        return entry_command(sys.executable, is_sandboxed=False)
    return [
        *sandbox_command(
            confinement.bubblewrap,
            binds(spec),
            python.prefix,
            has_own_user=confinement.has_own_user,
            # A web server is reached by the loopback, which a network of its own would not share.
            has_network=spec.has_network or bool(spec.http_port),
            info_descriptor=INFO_DESCRIPTOR,
        ),
        *entry_command(python.program, is_sandboxed=True),
    ]


def _environment(spec: InstanceSpec, engine_id: str, python: AgentPython, temporary: str, port: int) -> dict[str, str]:
    own = outer_environment if temporary else inner_environment
    path = f"{Path(python.program).parent}:{SYSTEM_PATH}"
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": temporary or TEMPORARY_DIRECTORY,
        "TMPDIR": temporary or TEMPORARY_DIRECTORY,
        **spec.environment,
        **own(spec, python, path),
        **({"HOST": LOOPBACK, "PORT": str(port)} if port else {}),
        MARKER_VARIABLE: engine_id,
    }


def _resource_limits(spec: InstanceSpec, confinement: Confinement) -> dict[str, int]:
    limits = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": MAX_OPEN_FILES, "RLIMIT_FSIZE": MAX_FILE_BYTES}
    if not confinement.groups.bounds_memory:
        limits["RLIMIT_DATA"] = spec.memory_bytes
    if confinement.groups.bounds_pids:
        return limits
    if confinement.has_own_user:
        limits["RLIMIT_NPROC"] = (spec.pids + PROCESSES) * INSTANCES_OF_ONE_USER
    elif confinement.counts_own_processes:
        limits["RLIMIT_NPROC"] = spec.pids + PROCESSES
    return limits


def spawn_shim(folder: Path) -> tuple[int, int]:
    """Start the shim of an instance in a session of its own; return its pid and a descriptor for `read_report`."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", SHIM_PROGRAM, str(Path(__file__).parent), str(folder.absolute())],
            CLEAN_ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
            # A server started with nohup, or by something odder, passes nothing of that on.
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    except OSError as error:
        os.close(reading)
        raise RuntimeUnavailable(
            f"no process can be started: {error.strerror}", hint="Look at the limits on processes and memory."
        ) from error
    finally:
        os.close(writing)
    return pid, reading


def read_report(reading: int) -> str:
    """Wait for what the shim reports, and close the descriptor; empty when it ended without a word.

    Raises `RuntimeUnavailable` when nothing comes in time: whether it started shows when one looks again.
    """
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if not poll.poll(int(START_WAIT_SECONDS * 1000)):
            raise RuntimeUnavailable("a process was started but does not answer", hint="Is the machine overloaded?")
        return pipe.read(FAILURE_TEXT_BYTES).decode("utf-8", "replace")


def refuse_unreachable(spec: InstanceSpec, confinement: Confinement) -> None:
    """Raise `RuntimeRefused` where an agent with a user of its own could not reach its folders."""
    if not confinement.has_own_user:
        return
    if not spec.user_id:
        raise RuntimeRefused("an agent is not run as root", hint="Give it a user of its own.")
    if confinement.bubblewrap is not None:
        return  # the sandbox brings them to it
    for path in (bind["Source"] for bind in binds(spec)):
        closed = next((parent for parent in Path(path).parents if not _lets_pass(parent, spec.user_id)), None)
        if closed is not None:
            raise RuntimeRefused(
                f"the agent's user cannot reach {path}: {closed} is closed to it",
                hint="Install bubblewrap, or choose a queueDirectory that others may pass through.",
            )


def _lets_pass(directory: Path, user_id: int) -> bool:
    try:
        status = directory.stat()
    except OSError:
        return True  # what is missing is told when it is used
    return bool(status.st_mode & (0o100 if status.st_uid == user_id else 0o001))
