"""What an agent that runs as a plain process gets: its command, its environment, its limits."""

import ensurepip
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from ploinky.adapters.process_runtime_identity import MARKER_VARIABLE
from ploinky.adapters.process_runtime_ports import LOOPBACK
from ploinky.adapters.process_runtime_shim import FAILURE_TEXT_BYTES
from ploinky.domain.dependencies import InstallPlace, installer_variables, search_paths
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import InstanceSpec

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_PATH = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
MAX_OPEN_FILES = 4096
START_WAIT_SECONDS = 15.0
SHIM_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]);"
    "import process_runtime_shim as shim, process_runtime_writer as writer;"
    "sys.exit(shim.main(sys.argv[2], writer.start))"
)
"""Our folder comes last, so that nothing in it hides a module of Python's."""


def launch_document(spec: InstanceSpec, engine_id: str, port: int) -> dict[str, Any]:
    """Say what the shim shall run. It holds the agent's secrets, and is removed as soon as it is read.

    **Limits**: `memory_bytes` bounds what each single process may allocate (`RLIMIT_DATA`: not `RLIMIT_AS`, which
    counts address space that is only reserved); `cpus` and `pids` need a container and are not enforced.
    """
    return {
        "command": _command(spec.command),
        "directory": spec.dependencies_directory
        if spec.install_place is InstallPlace.DEPENDENCIES
        else spec.code_directory,
        "log": [spec.log_path, spec.log_file_bytes, spec.log_file_count],
        "environment": {
            "PATH": OWN_PATH,
            "LANG": "C.UTF-8",
            **spec.environment,
            **({"HOST": LOOPBACK, "PORT": str(port)} if port else {}),
            **_own_environment(spec),
            MARKER_VARIABLE: engine_id,
        },
        "limits": {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": MAX_OPEN_FILES, "RLIMIT_DATA": spec.memory_bytes},
    }


def _own_environment(spec: InstanceSpec) -> dict[str, str]:
    found = search_paths(spec.dependencies_directory) if spec.dependencies_directory else {}
    environment = {"AGENT_DIR": spec.code_directory}
    if spec.install_place is None:
        environment["PLOINKY_QUEUE_DIR"] = spec.queue_directory
        found["PYTHONPATH"] = [spec.agentcore_directory, *found.get("PYTHONPATH", [])]
    else:
        environment |= installer_variables(spec.dependencies_directory)
        found["PYTHONPATH"] = [*found.get("PYTHONPATH", []), *_bundled_pip()]
    if "PATH" in found:
        found["PATH"] = [*found["PATH"], OWN_PATH]
        environment["PLOINKY_DEPENDENCIES_DIR"] = spec.dependencies_directory
    return {**environment, **{name: ":".join(places) for name, places in found.items()}}


def _bundled_pip() -> list[str]:
    """Return the pip that Python itself brings along: the server's environment need not have one."""
    places = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    return [str(wheel) for place in places for wheel in sorted(place.glob("pip-*.whl"))[-1:]][:1]


def _command(command: tuple[str, ...]) -> list[str]:
    """Run `python3` with the server's own Python, which exists; `-P`: files beside the agent shadow no module."""
    if command and command[0] == "python3":
        return [sys.executable, "-s", "-P", *command[1:]]
    return list(command)


def spawn_shim(folder: Path) -> tuple[int, int]:
    """Start the shim of an instance in a session of its own; return its pid and a descriptor for `read_report`."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", SHIM_PROGRAM, str(Path(__file__).parent), str(folder.absolute())],
            {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
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
