"""The README's walk works as it is printed, against a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.documents import document, rows
from tests.server.running import API, RunningServer, environment
from tests.tidy.tree import ROOT

pytestmark = pytest.mark.slow

LINE_LIMIT_SECONDS = 60
PRINTED_ADDRESS = "localhost:8000"
ENDLESS = "ploinky events -f"
REQUEST = re.compile(r"(GET|POST|PUT|DELETE) (/[\w/{}.-]*)")
UNDESCRIBED = {("GET", "/management/openapi.json")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("walk"), "--demo")
    yield running
    running.stop()


def run(server: RunningServer, line: str) -> str:
    """Run one printed line as a reader would, with the launcher for the alias; return what it printed."""
    kept = {name: text for name, text in environment(server.directory).items() if not name.startswith("PLOINKY_")}
    path = os.pathsep.join([str(server.installation), kept.get("PATH", os.defpath)])
    ended = subprocess.run(
        ["sh", "-c", line.replace(PRINTED_ADDRESS, urlsplit(server.url).netloc)],
        cwd=server.directory,
        env={**kept, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=LINE_LIMIT_SECONDS,
    )
    assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    return ended.stdout


def lines_of(name: str) -> list[str]:
    return [line for block in document(name).blocks("sh") for line in block.splitlines()]


def test_the_walk_of_the_readme_works(server: RunningServer) -> None:
    """Every line of the README's walk succeeds, in its order, and the interesting ones say what is promised."""
    printed = {line: run(server, line.replace(ENDLESS, "ploinky events")) for line in lines_of("README.md")}
    said = {line.split(" --")[0]: text for line, text in printed.items()}
    assert json.loads(next(text for line, text in said.items() if line.startswith("curl"))) == "Hello, World!"
    assert said["ploinky call /mine hello World"] == "Hello, World!\n"
    assert "localhost/mine" in said["ploinky deployments"]
    assert "task.succeeded" in said[ENDLESS]
    assert "greeting World" in said["ploinky logs /mine"]
    assert said["ploinky keys recover"].startswith("plk_")


def test_the_calls_in_the_page_on_the_api_work(server: RunningServer) -> None:
    """The three forms of a call that are shown give the same answer."""
    assert {run(server, line) for line in lines_of("ops/docs/api.md")} == {'"Hello, World!"'}


def test_every_route_is_documented(server: RunningServer) -> None:
    """The page on the API names each method and path that the server describes, and no other."""
    description = server.ask("GET", "/management/openapi.json").document
    described = {(method.upper(), path) for path, item in description["paths"].items() for method in item}
    named = [found for piece in document("ops/docs/api.md").code() for found in REQUEST.findall(piece)]
    documented = {(method, path if path.startswith("/management/") else API + path) for method, path in named}
    assert documented - UNDESCRIBED == described


def test_the_programme_for_verifying_works(server: RunningServer, tmp_path: Path) -> None:
    """The example verifies the journal of a running server, and finds damage in another."""
    script = tmp_path / "verify.py"
    script.write_text(document("ops/docs/operations.md").blocks("python")[0])

    def verify(journal: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(script), str(journal)]
        return subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=LINE_LIMIT_SECONDS
        )

    whole = verify(server.installation / "journal.db")
    assert whole.stdout.startswith("whole up to position "), whole.stderr
    damaged = tmp_path / "journal.db"
    damaged.write_text("not a journal")
    assert verify(damaged).returncode == 1


def test_everything_in_the_data_directory_is_documented(server: RunningServer) -> None:
    """Whatever a server keeps is in the table, and nothing in it is for others."""
    section = document("ops/docs/configuration.md").section("The data directory")
    names = {name.strip("`").rstrip("/") for cell, _ in rows(section) for name in cell.split(", ")}
    assert not {path.name for path in server.installation.iterdir()} - names
    assert server.installation.stat().st_mode & 0o077 == 0
    private = ("profile.json", "keys/signing.key", "keys/secrets.key")
    assert not [name for name in private if (server.installation / name).stat().st_mode & 0o077]


def test_the_start_says_what_the_readme_says(server: RunningServer) -> None:
    """The first start names the runtime it chose, shows the key once, and the launcher."""
    assert "process is usable" in server.output
    assert server.output.count("plk_") == 1
    assert f"{server.installation}/ploinky deployments" in server.output


def test_a_killed_server_is_started_again_as_the_readme_says(server: RunningServer) -> None:
    """After kill -9 the next start finds the agents that went on, answers, and prints no key."""
    pid = int((server.installation / "lock").read_text())
    assert pid == server.process.pid
    agents = set(server.agent_processes())
    assert agents
    server.kill()
    again = RunningServer(server.directory, "--demo")
    try:
        assert "plk_" not in again.output
        assert run(again, lines_of("README.md")[0]) == '"Hello, World!"'
        assert set(again.agent_processes()) & agents
    finally:
        again.stop()
    assert not again.agent_processes()
