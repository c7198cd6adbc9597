"""How far an agent that runs as a process is kept apart on this machine: found out once, by trying it."""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ploinky.adapters import process_runtime_entry
from ploinky.adapters.process_runtime_entry import REPORT, RUNS
from ploinky.adapters.process_runtime_groups import ControlGroups, find_control_groups
from ploinky.adapters.process_runtime_sandbox import ENTRY_SCRIPT, find_bubblewrap, sandbox_command

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLEAN_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
LEAST_PYTHON = (3, 8)
SAFE_PATH_PYTHON = (3, 11)
"""The first that knows `-P`: files beside the agent shadow no module."""
PROBE_TIMEOUT_SECONDS = 10
PROBE_USER_ID = 65534
"""Somebody who is neither root nor anybody here."""
FAILURE_CHARACTERS = 200

# Looks at itself, and whether the bound on processes counts those of its own namespace only: it starts one while there
# are two (with bubblewrap's), and would be refused where all of a user's are counted together with many others.
_PROBE = """
import os, resource, sys
forks = 1
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_NPROC, (4, 4))
    try:
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
    except OSError:
        forks = 0
print(*sys.version_info[:3], forks)
"""
_COUNT = "count"
_ANSWER = re.compile(r"(\d+) (\d+) (\d+) ([01])\s*")


class AgentPython(NamedTuple):
    """The Python that agents run with."""

    program: str
    prefix: str
    """The folder that holds all of it."""
    version: tuple[int, ...]

    @property
    def options(self) -> tuple[str, ...]:
        return ("-s", "-P") if self.version >= SAFE_PATH_PYTHON else ("-s",)


class Confinement(NamedTuple):
    """What an agent is kept from, and by what."""

    has_own_user: bool
    """Each deployment has a user of its own; only root can do that."""
    bubblewrap: str | None
    """Its program, where it works."""
    why_no_sandbox: str
    groups: ControlGroups
    counts_own_processes: bool
    """Whether the kernel's bound on a user's processes can be set for one sandbox."""
    python: AgentPython | None
    why_no_python: str

    @property
    def keeps_apart(self) -> bool:
        """Whether strangers' agents may run: they can reach neither the server nor each other."""
        return self.has_own_user or self.bubblewrap is not None

    def __str__(self) -> str:
        """Say in one line what is and what is not."""
        sandbox = "yes (bubblewrap)" if self.bubblewrap else f"no ({self.why_no_sandbox})"
        memory = "for each agent" if self.groups.bounds_memory else "for each single process (no control groups)"
        return (
            f"processes; own user: {'yes' if self.has_own_user else 'no'}, file system sandbox: {sandbox}, "
            f"memory limit: {memory}, Python: {self.python.program if self.python else 'none'}"
            f"{'' if self.keeps_apart else '; runs trusted sources only'}"
        )


def with_agent_python(command: tuple[str, ...], python: AgentPython | None) -> list[str]:
    """Return a command that runs the Python that was found to work where it says `python3`."""
    if python is not None and command[:1] == ("python3",):
        return [python.program, *python.options, *command[1:]]
    return list(command)


def entry_command(program: str, *, is_sandboxed: bool) -> list[str]:
    """Return the command of the last step before the agent."""
    return [program, "-I", "-S", ENTRY_SCRIPT if is_sandboxed else process_runtime_entry.__file__]


@functools.cache
def find_confinement(*, uses_sandbox: bool = True) -> Confinement:
    """Try everything out; takes a second at most, and is done once. `uses_sandbox` false leaves bubblewrap out."""
    has_own_user = os.geteuid() == 0
    failures: list[str] = []
    program = find_bubblewrap() if uses_sandbox else None
    why_no_sandbox = "" if program else "bubblewrap is not installed" if uses_sandbox else "switched off"
    for bubblewrap in [program, None] if program else [None]:
        for candidate in candidates():
            answer = _start(candidate, bubblewrap, has_own_user=has_own_user)
            if isinstance(answer, str):
                failures.append(f"{candidate.program}: {answer}")
                continue
            python, counts = answer
            return Confinement(
                has_own_user, bubblewrap, why_no_sandbox, find_control_groups(), counts, python, why_no_python=""
            )
        if bubblewrap:
            why_no_sandbox = f"bubblewrap does not work here: {failures[-1].partition(': ')[2]}"
    why_no_python = f"no Python can be started as an agent's user ({'; '.join(failures)})"
    return Confinement(has_own_user, None, why_no_sandbox, find_control_groups(), False, None, why_no_python)


def candidates() -> Iterator[AgentPython]:
    """Yield the server's own Python, without its environment, then the system's; versions are not known yet."""
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    yield AgentPython(str(own), sys.base_prefix, ())
    for folder in SYSTEM_PATH.split(":"):
        program = Path(folder, "python3")
        if program.exists() and os.path.realpath(program) != os.path.realpath(own):
            resolved = Path(os.path.realpath(program))
            yield AgentPython(str(program), str(resolved.parent.parent), ())


def _start(python: AgentPython, bubblewrap: str | None, *, has_own_user: bool) -> tuple[AgentPython, bool] | str:
    """Start a Python exactly as agents are; return it with its version, or why that failed."""
    with tempfile.TemporaryDirectory(prefix="ploinky-probe-") as made:
        binds = [{"Source": made, "Target": "/agent", "ReadOnly": False}]
        sandbox = (
            sandbox_command(bubblewrap, binds, python.prefix, has_own_user=has_own_user, has_network=True)
            if bubblewrap
            else []
        )
        entry = entry_command(python.program if bubblewrap else sys.executable, is_sandboxed=bool(bubblewrap))
        counting = [_COUNT] if bubblewrap and not has_own_user else []
        order: dict[str, Any] = {
            "user_id": PROBE_USER_ID if has_own_user else None,
            "parent_pid": None,
            "directory": "/",
            "limits": {},
            "command": [python.program, "-I", "-S", "-c", _PROBE, *counting],
            "environment": CLEAN_ENVIRONMENT,
        }
        return _understood(python, [*sandbox, *entry], order)


def _understood(python: AgentPython, command: list[str], order: dict[str, Any]) -> tuple[AgentPython, bool] | str:
    try:
        done = subprocess.run(
            # What the entry script reports is shown together with what hindered it from running.
            ["/bin/sh", "-c", f'exec "$@" {REPORT}>&2', "sh", *command],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            timeout=PROBE_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:FAILURE_CHARACTERS]
    answer = _ANSWER.fullmatch(done.stdout)
    if done.returncode != 0 or answer is None:
        words = done.stderr.removeprefix(RUNS.decode()).split("\n")
        return next((line.strip() for line in reversed(words) if line.strip()), f"exit code {done.returncode}")[
            :FAILURE_CHARACTERS
        ]
    version = tuple(int(answer[number]) for number in (1, 2, 3))
    if version < LEAST_PYTHON:
        return f"Python {version[0]}.{version[1]} is too old"
    return python._replace(version=version), order["command"][-1] == _COUNT and answer[4] == "1"
