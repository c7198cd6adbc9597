"""Control groups of both versions, read from trees of files; the real ones are tried by the runtime's own tests."""

import os
from pathlib import Path

import pytest

from ploinky.adapters import process_runtime_groups as groups
from ploinky.adapters.process_runtime_groups import NO_GROUPS, Limits, find_control_groups

LIMITS = Limits(memory_bytes=64 * 1024 * 1024, pids=20, cpus=0.5)
UNIFIED_FILES = frozenset({"memory.max", "memory.swap.max", "memory.events", "pids.max", "cpu.max"})


class Trials:
    """Stands for the kernel, which fills a new group with files: a plain folder stays empty."""

    def __init__(self, files: frozenset[str]) -> None:
        self.files = files
        self.tried: list[str] = []

    def __call__(self, parents: dict[str, str]) -> frozenset[str]:
        self.tried += parents.values()
        return self.files


def own(tmp_path: Path, content: str) -> Path:
    file = tmp_path / "own"
    file.write_text(content)
    return file


def test_of_version_two_lie_beside_the_servers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's group is in a slice; there the agents' are made, where they outlive it."""
    root = tmp_path / "cgroup"
    (root / "system.slice" / "ploinky.service").mkdir(parents=True)
    (root / "cgroup.controllers").touch()
    monkeypatch.setattr(groups, "_try", Trials(UNIFIED_FILES))
    found = find_control_groups(root, own(tmp_path, "0::/system.slice/ploinky.service\n"))
    assert found.of("x", LIMITS) == {
        f"{root}/system.slice/ploinky-x": {
            "memory.max": "67108864",
            "memory.swap.max": "0",
            "pids.max": "20",
            "cpu.max": "50000 100000",
        }
    }
    assert found.memory_events("x") == f"{root}/system.slice/ploinky-x/memory.events"
    assert (found.bounds_memory, found.bounds_pids) == (True, True)


def test_of_version_two_without_memory_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the controllers are not handed down, here nor at the root, nothing is bounded and nothing is promised."""
    root = tmp_path / "cgroup"
    (root / "user.slice" / "session").mkdir(parents=True)
    (root / "cgroup.controllers").touch()
    trials = Trials(frozenset({"cgroup.procs"}))
    monkeypatch.setattr(groups, "_try", trials)
    assert find_control_groups(root, own(tmp_path, "0::/user.slice/session\n")) is NO_GROUPS
    assert trials.tried == [f"{root}/user.slice", str(root)]


def test_of_version_one_are_looked_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each controller has a tree of its own; those that are missing bound nothing."""
    root = tmp_path / "cgroup"
    (root / "memory" / "service").mkdir(parents=True)
    (root / "cpu").mkdir()
    files = frozenset({"memory.limit_in_bytes", "memory.oom_control", "cpu.cfs_period_us", "cpu.cfs_quota_us"})
    monkeypatch.setattr(groups, "_try", Trials(files))
    found = find_control_groups(root, own(tmp_path, "4:memory:/service\n2:cpu,cpuacct:/elsewhere\n"))
    assert found.of("x", LIMITS) == {
        f"{root}/memory/service/ploinky-x": {"memory.limit_in_bytes": "67108864"},
        f"{root}/cpu/ploinky-x": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
    }
    assert found.memory_events("x") == f"{root}/memory/service/ploinky-x/memory.oom_control"
    assert not found.bounds_pids


def test_a_trial_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A folder that no process can be moved into is no group, and is removed again."""
    root = tmp_path / "cgroup"
    (root / "memory").mkdir(parents=True)
    assert not find_control_groups(root, own(tmp_path, "4:memory:/\n")).bounds_memory
    left = list((root / "memory").iterdir())
    assert all(file.name == "cgroup.procs" for folder in left for file in folder.iterdir())


def test_without_the_file_system_are_none(tmp_path: Path) -> None:
    """A machine that shows none has none."""
    assert find_control_groups(tmp_path, tmp_path / "missing") is NO_GROUPS
    assert NO_GROUPS.of("x", LIMITS) == {}
    assert NO_GROUPS.memory_events("x") is None


def test_a_share_is_never_below_what_the_kernel_takes() -> None:
    """The smallest share of a processor is a hundredth."""
    found = groups.ControlGroups({"cpu": "/c"}, frozenset({"cpu.cfs_quota_us"}))
    assert found.of("x", LIMITS._replace(cpus=0.0001)) == {"/c/ploinky-x": {"cpu.cfs_quota_us": "1000"}}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes groups on most machines")
def test_real_ones_are_gone_after_the_trial() -> None:
    """What is tried on this machine leaves no group behind."""
    found = find_control_groups()
    assert not [name for parent in found.parents.values() for name in os.listdir(parent) if "probe" in name]
