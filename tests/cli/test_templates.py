"""The demo agent and the template of new ones do what they say, in the runner that runs all agents."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from agentcore.failures import TaskFailure
from agentcore.manifest import read_manifest
from agentcore.resolution import Commands
from agentcore.task import Task
from ploinky.domain.manifest import Http, parse_manifest
from tests.waiting import wait_until

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "ploinky" / "templates"


@pytest.fixture(autouse=True)
def without_handlers() -> Iterator[None]:
    """Forget the agents' modules, which all have the same names."""
    yield
    for name in [name for name in sys.modules if name.startswith(("handlers.", "agent:"))]:
        del sys.modules[name]


def call(agent: str, command: str, *params: Any) -> Any:
    folder = str(TEMPLATES / agent)
    raw = json.dumps({"id": "task1", "attempt": 1, "command": command, "params": params}).encode()
    task = Task("task1", 1, command, [*params], {}, None, raw)
    return Commands(folder, read_manifest(folder)).resolve(command).run(task)


@pytest.mark.parametrize("agent", ["agent", "demo", "web"])
def test_has_a_sound_manifest(agent: str) -> None:
    """Nothing in the manifest is unknown or without effect."""
    manifest = parse_manifest((TEMPLATES / agent / "manifest.json").read_bytes())
    assert manifest.warnings == ()
    assert manifest.about
    assert manifest.access == ("public" if agent == "demo" else None)


@pytest.mark.parametrize("agent", ["agent", "demo"])
def test_greets(agent: str) -> None:
    """Both agents say hello, by default to the world."""
    assert call(agent, "hello", "Ada") == "Hello, Ada!"
    assert call(agent, "hello") == "Hello, World!"


@pytest.mark.parametrize(
    ("params", "total"), [((), 0), (("1", "2"), 3), ((1, 2.5, "-3"), 0.5), (("1e2",), 100.0), ((" 4 ",), 4)]
)
def test_adds(params: tuple[Any, ...], total: float) -> None:
    """Numbers are added, whether they were sent as numbers or as texts."""
    assert call("demo", "add", *params) == total


@pytest.mark.parametrize("params", [("one",), (None,), (True,), ([1],), ("nan",), ("inf",), ("",)])
def test_refuses_to_add(params: tuple[Any, ...]) -> None:
    """What is no finite number is an error for the caller."""
    with pytest.raises(ValueError, match="number"):
        call("demo", "add", *params)


def test_waits() -> None:
    """It waits for as long as it was told and says so."""
    assert call("demo", "wait", "0.01") == "Waited 0.01 s"


@pytest.mark.parametrize("seconds", ["-1", "601", "nan", "long"])
def test_refuses_to_wait(seconds: str) -> None:
    """A wait without an end is refused."""
    with pytest.raises(ValueError, match=r"seconds|float"):
        call("demo", "wait", seconds)


def test_echoes() -> None:
    """The shell script gets its params as arguments; none of them is code."""
    assert call("demo", "echo", "a b", "$(id)", "-n") == "a b $(id) -n"


def test_answers_to_what_its_readme_says() -> None:
    """The demo's commands are those of its table."""
    names = {method["name"] for method in call("demo", "methods")}
    readme = (TEMPLATES / "demo" / "README.md").read_text()
    assert names - {"methods"} == {"hello", "add", "wait", "echo"}
    assert all(f"| `{name}` |" in readme for name in names - {"methods"})


def test_answers_to_nothing_else() -> None:
    """An unknown command is refused with what there is."""
    with pytest.raises(TaskFailure) as caught:
        call("demo", "nonsense")
    assert "hello" in caught.value.details["methods"]


def test_a_web_agent_is_a_web_server() -> None:
    """Its manifest says how it is started, where it listens and what tells that it is well."""
    manifest = parse_manifest((TEMPLATES / "web" / "manifest.json").read_bytes())
    assert (manifest.run, manifest.http) == (("python3", "server.py"), Http(port=8080, health="/health"))


@pytest.fixture
def web_address() -> Iterator[tuple[str, int]]:
    """The web agent at work, where it was told to listen."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: tuple[str, int] = free.getsockname()
    program = subprocess.Popen(
        [sys.executable, TEMPLATES / "web" / "server.py"],
        env={"HOST": address[0], "PORT": str(address[1])},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: ask(address, "GET", "/health")[0] == 200, what="an answer")
        yield address
        program.terminate()
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.wait()


def ask(address: tuple[str, int], method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with closing(HTTPConnection(*address, timeout=10)) as connection:
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
        except OSError:
            return 0, b""
        return response.status, response.read()


def test_the_web_agent_answers(web_address: tuple[str, int]) -> None:
    """It greets, counts what it is sent, says what it does not have, and ends when it is asked to."""
    assert ask(web_address, "GET", "/?name=Ada") == (200, b"Hello, Ada!\n")
    assert ask(web_address, "POST", "/", b"four") == (200, b"You sent 4 bytes\n")
    assert ask(web_address, "GET", "/x") == (404, b"There is nothing at /x\n")
