"""Commands that work on this machine: the server itself, keys, images, configuration, new agents."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ploinky.cli import new_repository
from ploinky.domain.errors import ConfigurationInvalid, Denied, NotFound, PortInUse, RuntimeUnavailable
from tests.cli.conftest import CommandLine


class ServerDouble(types.ModuleType):
    """Stands where the server's module is imported from, and notes how it is called."""

    def __init__(self) -> None:
        super().__init__("ploinky.server.main")
        self.calls: list[tuple[Any, ...]] = []
        self.raised: Exception | None = None

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.raised is not None:
            raise self.raised

    def run(self, overrides: dict[str, object], default_data_directory: str | None, with_demo: bool) -> int:
        self._note("run", overrides, default_data_directory, with_demo)
        return 7

    def recover_key(self, overrides: dict[str, object]) -> dict[str, str]:
        self._note("recover_key", overrides)
        return {"key": "plk_new", "keyId": "k2"}

    def build_base_image(self, progress: Callable[[str], None], kind: str) -> str:
        self._note("build_base_image", kind)
        progress("unpacking\n\x1b[1mpackages")
        return "ploinky-agent:1"

    def init_repository(self, path: str) -> None:
        self._note("init_repository", path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ServerDouble:
    double = ServerDouble()
    monkeypatch.setitem(sys.modules, "ploinky.server.main", double)
    return double


def test_starts_the_server(local: CommandLine, server: ServerDouble) -> None:
    """Only what was said overrides the configuration, and the server's exit code is the command's."""
    assert local("start").code == 7
    assert server.calls == [("run", {}, None, False)]


def test_starts_the_server_as_told(local: CommandLine, server: ServerDouble) -> None:
    """Options become camelCase names; the default directory is no override."""
    local(
        *("start", "--demo", "--host", "0.0.0.0", "--port", "0", "--management-port", "9001"),
        *("--data-directory", "/a", "--default-data-directory", "/b"),
    )
    overrides = {"host": "0.0.0.0", "port": 0, "managementPort": 9001, "dataDirectory": "/a"}
    assert server.calls == [("run", overrides, "/b", True)]


def test_takes_the_launchers_spelling(local: CommandLine, server: ServerDouble) -> None:
    """The option of `ops/run` is understood."""
    local("start", "--data-directory-default", "/b")
    assert server.calls == [("run", {}, "/b", False)]


@pytest.mark.parametrize("wrong", [("--port", "65536"), ("--port", "http"), ("/demo", "surplus")])
def test_does_not_start_with(local: CommandLine, server: ServerDouble, wrong: tuple[str, ...]) -> None:
    """A start that cannot be meant is a usage error."""
    assert local("start", *wrong).code == 64
    assert not server.calls


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationInvalid("port: 'x' in config.json is no number", hint="Write a number."), 5),
        (PortInUse("something listens on 8000"), 5),
        (Denied(), 3),
        (NotFound(), 6),
        (RuntimeUnavailable(), 4),
        (OSError(28, "No space left on device", "/data"), 1),
    ],
)
def test_tells_why_it_did_not_start(local: CommandLine, server: ServerDouble, error: Exception, code: int) -> None:
    """Errors of the server's own code are told like all others."""
    server.raised = error
    ran = local("start")
    assert ran.code == code
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_recovers_a_key(local: CommandLine, server: ServerDouble) -> None:
    """A key is made on the machine itself, without any key, and printed alone."""
    ran = local("keys", "recover", "--data-directory", "/data")
    assert (ran.code, ran.out) == (0, "plk_new\n")
    assert json.loads(local.succeeds("keys", "recover", "--json")) == {"key": "plk_new", "keyId": "k2"}
    assert [call[1] for call in server.calls] == [{"dataDirectory": "/data"}, {}]


def test_builds_the_image(local: CommandLine, server: ServerDouble) -> None:
    """Progress is told on stderr, the image on stdout."""
    ran = local("image", "build-base")
    assert (ran.code, ran.out) == (0, "built ploinky-agent:1\n")
    assert ran.err == "unpacking \\x1b[1mpackages\n"
    assert json.loads(local.succeeds("image", "build-base", "--json")) == {"image": "ploinky-agent:1"}
    local.succeeds("image", "build-base", "--runtime", "podman")
    assert [call[1] for call in server.calls] == ["auto", "auto", "podman"]


@pytest.fixture
def configured(local: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a configuration of its own and give its file."""
    for name in [name for name in os.environ if name.startswith("PLOINKY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".ploinky" / "config.json"
    file.parent.mkdir()
    file.write_text('{"port": 8765}')
    return file


def test_shows_the_configuration(local: CommandLine, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is shown with the place it comes from."""
    monkeypatch.setenv("PLOINKY_MAX_CONTAINERS", "7")
    shown = json.loads(local.succeeds("config", "show", "--json"))
    assert shown["port"] == {"value": 8765, "from": str(configured)}
    assert shown["maxContainers"] == {"value": 7, "from": "PLOINKY_MAX_CONTAINERS"}
    assert shown["dataDirectory"] == {"value": str(local.home / ".ploinky" / "data"), "from": "default"}
    lines = [line.split() for line in local.succeeds("config", "show").splitlines()]
    assert lines[0] == ["NAME", "VALUE", "FROM"]
    assert ["port", "8765", str(configured)] in lines


@pytest.mark.parametrize("content", ['{"port": "http"}', '{"prot": 1}', "{"])
def test_refuses_a_broken_configuration(local: CommandLine, configured: Path, content: str) -> None:
    """A configuration that is none is exit 5 and names the file."""
    configured.write_text(content)
    ran = local("config", "show")
    assert ran.code == 5
    assert str(configured) in ran.err


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_makes_an_agent_with_one_commit(local: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new agent is a repository with one commit on main, that has everything and the agent's name."""
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/nonexistent")
    out = local.succeeds("new", "agent", "my-agent.2", "--directory", str(tmp_path))
    monkeypatch.delenv("GIT_DIR")
    folder = tmp_path / "my-agent.2"
    assert f"ploinky deploy localhost /my-agent.2 my-agent.2 --repository {folder}\n" in out
    assert git(folder, "rev-list", "--count", "main") == "1"
    assert git(folder, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "ls-files").split() == ["README.md", "handlers/hello.py", "manifest.json"]
    assert json.loads((folder / "manifest.json").read_text())["name"] == "my-agent.2"
    assert "agent-name" not in (folder / "README.md").read_text()


def test_makes_a_web_server(local: CommandLine, tmp_path: Path) -> None:
    """With the template of a web server there are no handlers, and nothing to call."""
    out = local.succeeds("new", "agent", "site", "--directory", str(tmp_path), "--template", "web")
    assert git(tmp_path / "site", "ls-files").split() == ["README.md", "manifest.json", "server.py"]
    assert "server.py" in out
    assert "ploinky call" not in out


def test_makes_an_agent_here(local: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory it is made in the present one, also when its folder is there and empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    document = json.loads(local.succeeds("new", "agent", "mine", "--json"))
    assert document["directory"] == str(tmp_path / "mine")
    assert (tmp_path / "mine" / "handlers" / "hello.py").is_file()


def test_makes_an_agent_without_git(
    local: CommandLine, server: ServerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where git is not installed the server's own code makes the repository."""
    monkeypatch.setenv("PATH", str(tmp_path))
    local.succeeds("new", "agent", "mine", "--directory", str(tmp_path))
    assert server.calls == [("init_repository", str(tmp_path / "mine"))]


def test_tells_why_git_failed(local: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that fails is quoted, and the files stay."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\necho 'fatal: not today' >&2\nexit 128\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    ran = local("new", "agent", "mine", "--directory", str(tmp_path))
    assert ran.code == 1
    assert "git init failed: fatal: not today" in ran.err
    assert (tmp_path / "mine" / "manifest.json").is_file()


def test_does_not_wait_for_git_for_ever(local: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that hangs, on a question nobody sees, is ended."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(new_repository, "GIT_TIMEOUT_SECONDS", 0.1)
    ran = local("new", "agent", "mine", "--directory", str(tmp_path))
    assert ran.code == 1
    assert "git did not end within 0.1 s" in ran.err


@pytest.mark.parametrize("occupied", ["file", "folder", "link"])
def test_overwrites_nothing(local: CommandLine, tmp_path: Path, occupied: str) -> None:
    """What is there already stays as it is."""
    target = tmp_path / "mine"
    if occupied == "file":
        target.write_text("mine")
    elif occupied == "link":
        target.symlink_to(tmp_path / "elsewhere")
    else:
        target.mkdir()
        (target / "kept").write_text("mine")
    ran = local("new", "agent", "mine", "--directory", str(tmp_path))
    assert ran.code == 6
    assert "--directory" in ran.err
    assert not (target / "manifest.json").exists()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "../x", ".hidden", "-x", "a b", "ä", "x" * 101, "a\n"])
def test_refuses_the_name(local: CommandLine, tmp_path: Path, name: str) -> None:
    """A name that cannot be a folder, a path and an agent everywhere is a usage error."""
    assert local("new", "agent", "--directory", str(tmp_path), "--", name).code == 64
    assert not list(tmp_path.glob("*/manifest.json"))
