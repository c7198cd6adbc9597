"""A command line that talks to a scripted server, with a home of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ploinky.cli import waiting
from ploinky.cli.main import run
from tests.cli.stub_server import StubServer


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], home: Path) -> None:
        self._capsys = capsys
        self.home = home
        self.profile = home / ".ploinky" / "profile.json"

    def __call__(self, *arguments: str, program: str = "ploinky") -> Ran:
        self._capsys.readouterr()
        code = run(program, [*arguments])
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    def succeeds(self, *arguments: str, program: str = "ploinky") -> str:
        """Run a command that has to end with 0 and give what it printed."""
        ran = self(*arguments, program=program)
        assert ran.code == 0, ran.err
        return ran.out


@pytest.fixture
def stub() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PLOINKY_URL", "PLOINKY_KEY", "PLOINKY_PROFILE", "PLOINKY_TRACEBACK", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def local(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Give a command line that knows no server."""
    monkeypatch.setattr(waiting, "POLL_INTERVAL_SECONDS", 0.001)
    return CommandLine(capsys, home)


@pytest.fixture
def ploinky(local: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Give a command line that knows the stub and a key."""
    monkeypatch.setenv("PLOINKY_URL", stub.url)
    monkeypatch.setenv("PLOINKY_KEY", "plk_test")
    return local
