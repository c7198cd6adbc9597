"""The first start greets, and everything it says works as it is printed."""

import json
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import START_LIMIT_SECONDS, RunningServer, environment, request, run_to_end

KEY = re.compile(r"plk_\w+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A first start with the demo."""
    running = RunningServer(tmp_path_factory.mktemp("first"), "--demo")
    try:
        running.key = KEY.findall(running.output)[0]
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


def printed(server: RunningServer, beginning: str) -> str:
    """Find the printed command that begins so."""
    lines = [line.strip() for line in server.output.splitlines()]
    return next(line for line in lines if line.startswith(beginning))


def run_printed(server: RunningServer, line: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """Run a printed line by the shell, as a person would, from another folder."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=server.directory,
        env=environment(server.directory, changes),
        check=False,
        capture_output=True,
        text=True,
        timeout=START_LIMIT_SECONDS,
    )


def test_shows_the_key_once(server: RunningServer) -> None:
    """One key is shown, it works, and initialising again is refused."""
    assert KEY.findall(server.output) == [server.key]
    assert server.api("GET", "/health").status == 200
    assert server.ask("POST", "/management/api/init").status == 409


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_call_works(server: RunningServer) -> None:
    """The printed curl line answers from the demo."""
    done = run_printed(server, printed(server, "curl"))
    assert json.loads(done.stdout) == "Hello, World!", done.stderr


def test_the_launcher_works(server: RunningServer, tmp_path: Path) -> None:
    """The printed launcher knows the server and the key, wherever it is run."""
    line = printed(server, str(server.installation)) + " --json"
    done = run_printed(server, line)
    assert done.returncode == 0, done.stderr
    assert [one["path"] for one in json.loads(done.stdout)["data"]] == ["/demo"]
    launcher = shlex.quote(str(server.installation / "ploinky"))
    called = run_printed(server, f"{launcher} call /demo add 1 2 3 --json")
    assert called.returncode == 0, called.stderr
    assert "6" in called.stdout


def test_only_the_owner_reads_the_profile(server: RunningServer) -> None:
    """The profile with the key is its owner's alone, as is the whole installation."""
    profile = server.installation / "profile.json"
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.installation.stat().st_mode) == 0o700
    assert json.loads(profile.read_text()) == {"url": server.url, "key": server.key}
    assert (server.installation / "address").read_text().strip() == server.url


def test_the_demo_does_what_it_says(server: RunningServer) -> None:
    """The demo is public, and its commands greet, add and echo."""
    assert server.ask("POST", "/demo/hello", {"params": ["Ada"]}).document == "Hello, Ada!"
    assert server.ask("GET", "/demo/add?a=1&b=2").document == 3
    assert server.ask("POST", "/demo/echo", {"params": ["a b"]}).document == "a b"
    assert server.ask("POST", "/demo/add", {"params": ["x"]}).code == "TASK_EXECUTION_ERROR"


def test_browsers_are_shown_the_way(server: RunningServer) -> None:
    """Where nothing is deployed at the root, a browser is led to the management's own address."""
    port = server.management_port()
    assert port not in {0, int(server.url.rpartition(":")[2])}
    management = f"http://localhost:{port}"
    root = request(management, "GET", "/")
    assert (root.status, root.headers["location"]) == (307, "/management/docs")
    assert request(management, "GET", "/management/docs").status == 200
    assert request(management, "POST", "/demo/hello").code == "NOT_FOUND"
    assert request(management, "GET", "/management/api/keys").code == "UNAUTHENTICATED"
    assert request(management, "GET", "/management/api/keys", headers={"X-API-Key": server.key}).status == 200


def test_a_lost_key_is_replaced_while_it_runs(tmp_path: Path) -> None:
    """`keys recover` replaces the key through the running server, and the profile knows the new one."""
    server = RunningServer(tmp_path, "--demo")
    try:
        server.key = old = KEY.findall(server.output)[0]
        made = run_to_end(tmp_path, "keys", "recover", "--json")
        assert made.returncode == 0, made.stderr
        assert server.api("GET", "/keys").status == 401
        server.key = json.loads(made.stdout)["key"]
        assert server.key != old
        assert server.api("GET", "/keys").status == 200
        assert json.loads((server.installation / "profile.json").read_text())["key"] == server.key
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_lost_key_is_replaced_while_it_is_stopped(tmp_path: Path) -> None:
    """Without a running server `keys recover` writes the journal itself; the demo is not deployed a second time."""
    first = RunningServer(tmp_path, "--demo")
    again: RunningServer | None = None
    try:
        first.key = KEY.findall(first.output)[0]
        assert first.stop() == 0
        made = run_to_end(tmp_path, "keys", "recover", "--json")
        assert made.returncode == 0, made.stderr
        again = RunningServer(tmp_path, "--demo")
        assert "plk_" not in again.output
        again.key = first.key
        assert again.api("GET", "/keys").status == 401
        again.key = json.loads(made.stdout)["key"]
        assert [one["path"] for one in again.api("GET", "/deployments").document["data"]] == ["/demo"]
        demo = again.api("GET", "/events?type=deployment.requested").document["data"]
        assert len(demo) == 1
        assert again.stop() == 0
    finally:
        first.kill()
        if again is not None:
            again.kill()


def test_an_undeployed_demo_stays_away(tmp_path: Path) -> None:
    """Who takes the demo off does not get it back by starting again."""
    first = RunningServer(tmp_path, "--demo")
    again: RunningServer | None = None
    try:
        first.key = KEY.findall(first.output)[0]
        demo = first.api("GET", "/deployments").document["data"][0]["id"]
        assert first.api("DELETE", f"/deployments/{demo}").status == 202
        first.await_gone(demo)
        assert first.stop() == 0
        again = RunningServer(tmp_path, "--demo")
        again.key = first.key
        assert again.api("GET", "/deployments").document["data"] == []
        assert "curl" not in again.output
        assert again.stop() == 0
    finally:
        first.kill()
        if again is not None:
            again.kill()


def test_nothing_to_recover(tmp_path: Path) -> None:
    """Where there is no installation there is no key to replace."""
    ended = run_to_end(tmp_path, "keys", "recover")
    assert ended.returncode == 5
    assert "DIRECTORY_UNUSABLE" in ended.stderr
    assert not (tmp_path / "installation" / "journal.db").exists()


def test_the_configured_ports_are_taken(tmp_path: Path) -> None:
    """`PLOINKY_PORT` and `PLOINKY_MANAGEMENT_PORT` decide; a restart with them listens there again."""
    first = RunningServer(tmp_path)
    port, management_port = int(first.url.rpartition(":")[2]), first.management_port()
    assert first.stop() == 0
    changes = {"PLOINKY_PORT": str(port), "PLOINKY_MANAGEMENT_PORT": str(management_port)}
    again = RunningServer(tmp_path, changes=changes)
    try:
        assert again.url == f"http://localhost:{port}"
        assert again.management_port() == management_port
        assert again.stop() == 0
    finally:
        again.kill()
