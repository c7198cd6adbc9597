"""Failpoints: off by default, exact when set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ploinky.domain.errors import ConfigurationInvalid
from ploinky.ports.failpoints import Failpoints, reach

PROGRAM = """
from ploinky.ports.failpoints import reach
for step in range(5):
    print(step, flush=True)
    reach("after-step")
    reach("other")
"""


def run_program(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the five steps in a process of their own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_does_nothing_when_not_set() -> None:
    """A process without the variable passes every name."""
    reach("anything")
    assert not Failpoints({}).are_set
    assert run_program().returncode == 0


def test_kills_at_the_hit_asked_for() -> None:
    """The process ends by SIGKILL at exactly the third hit."""
    result = run_program(PLOINKY_FAILPOINTS="after-step=kill@3, other=kill@9")
    assert result.returncode == -9
    assert result.stdout.split() == ["0", "1", "2"]


def test_counts_hits_into_the_file(tmp_path: Path) -> None:
    """Each hit of a counted name is one line; other names leave none."""
    log = tmp_path / "hits"
    result = run_program(PLOINKY_FAILPOINTS="other=count", PLOINKY_FAILPOINTS_LOG=str(log))
    assert result.returncode == 0
    assert log.read_text().split() == ["other"] * 5


def test_counts_every_name_by_a_star(tmp_path: Path) -> None:
    """A star counts all names in the order they were reached."""
    failpoints = Failpoints({"PLOINKY_FAILPOINTS": "*=count", "PLOINKY_FAILPOINTS_LOG": str(tmp_path / "hits")})
    assert failpoints.are_set
    failpoints.reach("one")
    failpoints.reach("two")
    assert (tmp_path / "hits").read_text() == "one\ntwo\n"


def test_waits_for_the_file_that_arms_it(tmp_path: Path) -> None:
    """What was reached before the file is there does not count towards the kill."""
    armed = tmp_path / "armed"
    variables = {"PLOINKY_FAILPOINTS": "after-step=kill@2", "PLOINKY_FAILPOINTS_ARMED": str(armed)}
    assert run_program(**variables).returncode == 0
    armed.touch()
    result = run_program(**variables)
    assert result.returncode == -9
    assert result.stdout.split() == ["0", "1"]


@pytest.mark.parametrize(
    "entry", ["name", "name=kill", "name=kill@0", "name=kill@x", "=kill@1", "name=stop@1", "a=count"]
)
def test_refuses_entries_that_cannot_be_read(entry: str) -> None:
    """A misspelt entry, or counting without a file, is an error that names the entry."""
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        Failpoints({"PLOINKY_FAILPOINTS": entry})
