"""Control groups: limits of memory, processes and processors for all processes of an agent together.

Both versions are known. A group of its own for each instance is made beside the server's own, so that it outlives the
server; whether that is possible shows only by doing it.
"""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
PREFIX = "ploinky-"
PROCESSES_FILE = "cgroup.procs"
CPU_PERIOD_MICROSECONDS = 100_000
LEAST_QUOTA_MICROSECONDS = 1_000
"""**Source**: the kernel's sched/core.c, `min_cfs_quota_period`."""
PROBE_TIMEOUT_SECONDS = 5

_UNIFIED = "cgroup.controllers"
_CONTROLLERS = ("memory", "pids", "cpu")
# One process that moves itself, as an agent will.
_MOVE = 'for group; do echo 0 >"$group/cgroup.procs" || exit 1; done'


class Limits(NamedTuple):
    """What an agent may use, all its processes together."""

    memory_bytes: int
    pids: int
    cpus: float


class ControlGroups(NamedTuple):
    """Where groups can be made here."""

    parents: Mapping[str, str]
    """By controller; only those that work."""
    files: frozenset[str]
    """What a new group was seen to have: a limit whose file is missing cannot be set."""

    @property
    def bounds_memory(self) -> bool:
        return "memory" in self.parents

    @property
    def bounds_pids(self) -> bool:
        return "pids" in self.parents

    def of(self, name: str, limits: Limits) -> dict[str, dict[str, str]]:
        """Return each group of an instance with the content of its files, in the order of writing."""
        quota = max(LEAST_QUOTA_MICROSECONDS, int(limits.cpus * CPU_PERIOD_MICROSECONDS))
        wanted = {
            # The first of each line is version 2. No swap on top, as with containers.
            "memory": {
                "memory.max": str(limits.memory_bytes),
                "memory.swap.max": "0",
                "memory.limit_in_bytes": str(limits.memory_bytes),
                "memory.memsw.limit_in_bytes": str(limits.memory_bytes),
            },
            "pids": {"pids.max": str(limits.pids)},
            "cpu": {
                "cpu.max": f"{quota} {CPU_PERIOD_MICROSECONDS}",
                "cpu.cfs_period_us": str(CPU_PERIOD_MICROSECONDS),
                "cpu.cfs_quota_us": str(quota),
            },
        }
        groups: dict[str, dict[str, str]] = {}
        for controller, parent in self.parents.items():
            files = {file: value for file, value in wanted[controller].items() if file in self.files}
            groups.setdefault(f"{parent}/{PREFIX}{name}", {}).update(files)
        return groups

    def memory_events(self, name: str) -> str | None:
        """Return the file that counts how often the kernel ended a process of an instance for want of memory."""
        file = next((file for file in ("memory.events", "memory.oom_control") if file in self.files), None)
        return f"{self.parents['memory']}/{PREFIX}{name}/{file}" if file and self.bounds_memory else None


NO_GROUPS = ControlGroups({}, frozenset())


def find_control_groups(root: Path = ROOT, own: Path = OWN) -> ControlGroups:
    """Find out by trial what can be limited here; `NO_GROUPS` where nothing can."""
    try:
        paths = _own_paths(own.read_text())
    except OSError:
        return NO_GROUPS
    if (root / _UNIFIED).exists():
        candidates = [(root / paths.get("", "/").strip("/")).parent, root]
        return next(
            (groups for parent in candidates if root in (parent, *parent.parents) and (groups := _unified(parent))),
            NO_GROUPS,
        )
    return _by_controller(root, paths)


def _own_paths(content: str) -> dict[str, str]:
    """Read `/proc/self/cgroup`; the unified hierarchy is the one without a name."""
    paths: dict[str, str] = {}
    for line in content.splitlines():
        _number, names, path = line.split(":", 2)
        paths.update(dict.fromkeys(names.split(","), path))
    return paths


def _unified(parent: Path) -> ControlGroups | None:
    for controller in _CONTROLLERS:
        with contextlib.suppress(OSError):  # not allowed, or there already; what counts shows in the trial
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    files = _try({"memory": str(parent)})
    if "memory.max" not in files:
        return None
    present = [controller for controller in _CONTROLLERS if f"{controller}.max" in files]
    return ControlGroups(dict.fromkeys(present, str(parent)), files)


def _by_controller(root: Path, paths: Mapping[str, str]) -> ControlGroups:
    parents: dict[str, str] = {}
    files: frozenset[str] = frozenset()
    needed = {"memory": "memory.limit_in_bytes", "pids": "pids.max", "cpu": "cpu.cfs_quota_us"}
    for controller, file in needed.items():
        mounted = root / controller
        own = mounted / paths.get(controller, "/").strip("/")
        parent = str(own if own.is_dir() else mounted)
        found = _try({controller: parent}) if mounted.is_dir() else frozenset()
        if file in found:
            parents[controller] = parent
            files |= found
    return ControlGroups(parents, files)


def _try(parents: Mapping[str, str]) -> frozenset[str]:
    """Make a group, move a process into it, look at its files, remove it; empty when one of that fails."""
    groups = [Path(parent, f"{PREFIX}probe-{secrets.token_hex(4)}") for parent in parents.values()]
    made: list[Path] = []
    try:
        for group in groups:
            group.mkdir()
            made.append(group)
        moved = subprocess.run(
            ["/bin/sh", "-c", _MOVE, "sh", *map(str, groups)],
            check=False,
            capture_output=True,
            timeout=PROBE_TIMEOUT_SECONDS,
        )
        names = frozenset(name for group in groups for name in os.listdir(group))
        return names if moved.returncode == 0 else frozenset()
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    finally:
        for group in made:
            with contextlib.suppress(OSError):
                group.rmdir()
