"""A missing engine skips a test with its reason, unless the run was told that the engine must be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

CONFTEST = """
import tests.conftest as rule

rule.PROBES["docker"] = lambda: {reason!r}
from tests.conftest import pytest_configure, pytest_runtest_setup
"""
MARKED_TEST = '''
import pytest

@pytest.mark.docker
def test_marked():
    """Needs the engine."""

def test_plain():
    """Needs nothing."""
'''


def run_marked(folder: Path, *, reason: str | None, required: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.format(reason=reason))
    (folder / "test_marked.py").write_text(MARKED_TEST)
    arguments = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(folder),
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(folder)],
        cwd=ROOT,
        env={**os.environ, "REQUIRE_ENGINES": required},
        check=False,
        capture_output=True,
        text=True,
    )


def test_skips_and_says_why(tmp_path: Path) -> None:
    """Without the engine the marked test is skipped with the reason and the others run."""
    run = run_marked(tmp_path, reason="no engine answers", required="")
    assert run.returncode == 0, run.stdout
    assert "1 passed, 1 skipped" in run.stdout
    assert "no engine answers" in run.stdout


def test_fails_when_the_engine_is_required(tmp_path: Path) -> None:
    """Under REQUIRE_ENGINES a missing engine is a failure, never a skip."""
    run = run_marked(tmp_path, reason="no engine answers", required="redis, docker")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "required by REQUIRE_ENGINES" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]


def test_runs_when_the_engine_answers(tmp_path: Path) -> None:
    """With the engine both tests run."""
    run = run_marked(tmp_path, reason=None, required="docker")
    assert "2 passed" in run.stdout, run.stdout


def test_refuses_an_unknown_engine(tmp_path: Path) -> None:
    """A misspelt name would require nothing, so it is refused with the names that are known."""
    run = run_marked(tmp_path, reason=None, required="dokcer")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "known are bubblewrap, docker, podman, redis, registry, sshd, strace" in run.stdout + run.stderr
