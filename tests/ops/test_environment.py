"""The set-up in front of every script: once, repairable, serialised, and quiet about what is already there.

Python itself is replaced by a small program that records what it was asked to do, so that nothing is downloaded.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT
from tests.waiting import wait_until

EXIT_ENVIRONMENT = 5
SETUP_TIMEOUT_SECONDS = 30

# $calls collects one line per use; `pip install -r` waits for $gate to disappear, then fails when $broken exists.
FAKE_PYTHON = """#!/bin/bash
case "$*" in
  *version_info\\ \\<*) [ ! -e "$old" ] ;;
  *ensurepip*) [ ! -e "$bare" ] ;;
  *-venv*) echo python3.99-venv ;;
  *"-m venv"*)
    echo venv >>"$calls"
    mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python"
    printf '#!/bin/bash\\nprintf "%%s\\\\n" started "$@"; ls -l /proc/$$/fd\\n' >"${@: -1}/bin/ploinky"
    chmod +x "${@: -1}/bin/ploinky" ;;
  *sys.prefix*) echo "$(dirname "$(dirname "$0")")" ;;
  *"import pip"*) true ;;
  *"-m pytest"*) echo tests >>"$calls" ;;
  *--require-hashes*)
    echo requirements >>"$calls"
    while [ -e "$gate" ]; do sleep 0.01; done
    [ ! -e "$broken" ] || { echo "no such host"; exit 1; } ;;
  *--no-build-isolation*) echo project >>"$calls" ;;
  *) echo "unexpected: $*" >>"$calls"; exit 1 ;;
esac
"""


class Checkout:
    """Hold a copy of the scripts in a folder with a space in its name, with a recording Python first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "a checkout"
        programs = folder / "bin"
        programs.mkdir()
        for name in ("python3.13", "python3.12", "python3.11", "python3"):
            (programs / name).write_text(FAKE_PYTHON)
            (programs / name).chmod(0o755)
        shutil.copytree(ROOT / "ops", self.root / "ops")
        shutil.copy(ROOT / "pyproject.toml", self.root)
        self.environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}
        self.environment |= {name: str(folder / name) for name in ("calls", "gate", "broken", "old", "bare")}

    def start(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program or self.root / "ops" / "run", *arguments],
            cwd="/",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, program: Path | None = None) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, program=program) as process:
            output, errors = process.communicate(timeout=SETUP_TIMEOUT_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def calls(self) -> list[str]:
        record = self.folder / "calls"
        return record.read_text().split() if record.exists() else []

    def raise_flag(self, name: str) -> Path:
        flag = self.folder / name
        flag.touch()
        return flag


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_sets_up_once(checkout: Checkout) -> None:
    """The first start installs and starts; the second only starts."""
    first = checkout.run("--port", "0")
    assert (first.returncode, first.stdout.splitlines()[:4]) == (
        0,
        ["started", "start", "--demo", "--data-directory-default"],
    )
    assert first.stdout.splitlines()[4:7] == [f"{checkout.root}/.ploinky/data", "--port", "0"]
    assert "first time" in first.stderr
    second = checkout.run()
    assert (second.returncode, second.stderr) == (0, "")
    assert checkout.calls() == ["venv", "requirements", "project"]


def test_works_through_a_symbolic_link(checkout: Checkout) -> None:
    """Called by a link from elsewhere it still finds its own checkout."""
    link = checkout.folder / "link"
    link.symlink_to(checkout.root / "ops" / "run")
    assert checkout.run(program=link).returncode == 0
    assert (checkout.root / ".venv" / "bin" / "ploinky").exists()


def test_the_server_does_not_inherit_the_lock(checkout: Checkout) -> None:
    """A running server must not keep the next start waiting."""
    assert str(checkout.root / "ops") not in checkout.run().stdout


def test_installs_again_when_the_lock_file_changes(checkout: Checkout) -> None:
    """Other requirements are installed into the environment that is there."""
    checkout.run()
    with (checkout.root / "ops" / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    assert checkout.run().returncode == 0
    assert checkout.calls() == ["venv", "requirements", "project", "requirements", "project"]


def test_starting_and_testing_share_one_environment(checkout: Checkout) -> None:
    """A test run adds what it needs once, and going back and forth installs nothing more."""
    for program in ("run", "test", "run", "test"):
        assert checkout.run(program=checkout.root / "ops" / program).returncode == 0
    installations = ["venv", "requirements", "project", "requirements", "project"]
    assert checkout.calls() == [*installations, "tests", "tests"]


def test_starts_afresh_after_an_interrupted_set_up(checkout: Checkout) -> None:
    """Killed in the middle of an installation, the next start throws the half-made environment away."""
    gate = checkout.raise_flag("gate")
    with checkout.start() as process:
        wait_until(lambda: "requirements" in checkout.calls(), what="the installation")
        os.killpg(process.pid, 9)
    gate.unlink()
    assert checkout.run().returncode == 0
    assert checkout.calls() == ["venv", "requirements", "venv", "requirements", "project"]


def test_rebuilds_a_moved_environment(checkout: Checkout) -> None:
    """Scripts of an environment hold its path, so a moved checkout gets a new one."""
    checkout.run()
    checkout.root = checkout.root.rename(checkout.folder / "moved")
    assert checkout.run().returncode == 0
    assert checkout.calls().count("venv") == 2


def test_two_starts_install_once(checkout: Checkout) -> None:
    """The second of two concurrent starts waits for the first and finds everything done."""
    gate = checkout.raise_flag("gate")
    with checkout.start() as first, checkout.start() as second:
        wait_until(lambda: "requirements" in checkout.calls(), what="the installation")
        gate.unlink()
        for process in (first, second):
            output, _ = process.communicate(timeout=SETUP_TIMEOUT_SECONDS)
            assert output.startswith("started")
    assert checkout.calls() == ["venv", "requirements", "project"]


def test_says_what_to_do_when_the_installation_fails(checkout: Checkout) -> None:
    """The cause is shown, the exit status is the environment's, and a later start succeeds."""
    broken = checkout.raise_flag("broken")
    failed = checkout.run()
    assert failed.returncode == EXIT_ENVIRONMENT
    assert "no such host" in failed.stderr
    assert "Check the network" in failed.stderr
    broken.unlink()
    assert checkout.run().returncode == 0


def test_says_what_to_do_without_a_new_enough_python(checkout: Checkout) -> None:
    """One line names the version needed and how to get it."""
    checkout.raise_flag("old")
    refused = checkout.run()
    assert refused.returncode == EXIT_ENVIRONMENT
    assert "needs Python 3.11 or newer" in refused.stderr


def test_names_the_missing_package_when_it_cannot_install_it(checkout: Checkout) -> None:
    """Where Python cannot make environments and nothing can be installed, the one command to run is printed."""
    checkout.raise_flag("bare")
    programs = checkout.folder / "bin"
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)
    refused = checkout.run()
    assert refused.returncode == EXIT_ENVIRONMENT
    assert "sudo apt-get install -y python3.99-venv" in refused.stderr
