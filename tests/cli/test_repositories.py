"""Repositories on the command line: secrets never stand among its words, and what changed is shown."""

import io
import json

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.documents import rolling
from tests.cli.stub_server import Reply, StubServer, page_of

URL = "https://git.test/agents.git"
UPDATE = {"before": "a" * 40, "commit": "b" * 40, "isFromCache": False, "reason": "", "changes": [], "warnings": []}


@pytest.mark.parametrize(
    ("words", "credentials"),
    [
        (("--username", "me", "--secret", "HERE"), {"username": "me", "password": "from here"}),
        (("--token-secret", "HERE"), {"token": "from here"}),
        (("--token-secret", "HERE", "--username", "me"), {"token": "from here", "username": "me"}),
        (("--ssh-key-secret", "HERE"), {"sshKey": "from here"}),
    ],
)
def test_takes_credentials_from_a_variable(
    ploinky: CommandLine,
    stub: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    credentials: dict[str, str],
) -> None:
    """The option names the variable; its value goes to the server only."""
    monkeypatch.setenv("HERE", "from here")
    stub.answer("POST", "~/repositories", Reply(201, {"name": "agents"}))
    assert ploinky.succeeds("repo", "add", "agents", URL, *words) == "added agents\n"
    assert stub.requests[0].document == {"name": "agents", "url": URL, "credentials": credentials}


def test_reads_a_secret_from_standard_input(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash stands for it, and the line's end does not belong to it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\n"))
    stub.answer("POST", "~/repositories", Reply(201, {"name": "agents"}))
    ploinky.succeeds("repo", "add", "agents", URL, "--webhook-secret", "-", "--poll", "60", "--branch", "dev")
    wanted = {"name": "agents", "url": URL, "branch": "dev", "webhookSecret": "a secret", "pollSeconds": 60}
    assert stub.requests[0].document == wanted


@pytest.mark.parametrize(
    "words",
    [
        ("--username", "me"),
        ("--secret", "HERE"),
        ("--token-secret", "HERE", "--ssh-key-secret", "HERE"),
        ("--token-secret", "-"),
    ],
)
def test_refuses_half_of_the_credentials(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """What does not go together, and an empty standard input, is a mistake before anything is sent."""
    monkeypatch.setenv("HERE", "from here")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert ploinky("repo", "add", "agents", URL, *words).code == 64
    assert stub.requests == []


def test_a_deployment_takes_them_too(ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a revision and a subfolder, under the API's names."""
    monkeypatch.setenv("HERE", "from here")
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    ploinky.succeeds(
        *("deploy", "localhost", "/demo", "demo", "--repository", URL, "--no-wait", "--revision", "v1"),
        *("--subfolder", "team", "--repository-username", "me", "--repository-secret", "HERE"),
    )
    assert stub.requests[0].document == {
        "domain": "localhost",
        "path": "/demo",
        "agent": "demo",
        "repository": URL,
        "revision": "v1",
        "subfolder": "team",
        "credentials": {"username": "me", "password": "from here"},
    }


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["agents went from aaaaaaaaaaaa to bbbbbbbbbbbb"]),
        ({"changes": ["+ new", "~ old"]}, ["agents went from aaaaaaaaaaaa to bbbbbbbbbbbb", "+ new", "~ old"]),
        ({"before": None}, ["agents is at bbbbbbbbbbbb, fetched for the first time"]),
        ({"before": "b" * 40}, ["agents is at bbbbbbbbbbbb as before"]),
    ],
)
def test_an_update_tells_what_changed(
    ploinky: CommandLine, stub: StubServer, changes: dict[str, object], lines: list[str]
) -> None:
    """Commits in short, and each path with how it differs."""
    stub.answer("POST", "~/repositories/agents/update", Reply(200, UPDATE | changes))
    assert ploinky.succeeds("repo", "update", "agents").splitlines() == lines
    assert json.loads(ploinky.succeeds("repo", "update", "agents", "--json")) == UPDATE | changes


def test_an_update_from_the_cache_says_so(ploinky: CommandLine, stub: StubServer) -> None:
    """Why, and what else is to be known, stands beside the result."""
    cached = {"isFromCache": True, "reason": "no answer", "warnings": ["a pointer"]}
    stub.answer("POST", "~/repositories/agents/update", Reply(200, UPDATE | cached))
    ran = ploinky("repo", "update", "agents")
    assert ran.err.splitlines() == ["from the cache: no answer", "warning: a pointer"]


def test_the_list_tells_what_was_fetched(ploinky: CommandLine, stub: StubServer) -> None:
    """Credentials by kind, the last fetch, and the newest problem."""
    cache = {"lastFetchAt": "2026-01-01T00:00:00Z", "lastError": "no answer"}
    row = {"name": "agents", "url": URL, "branch": None, "credentials": "token", "cache": cache}
    stub.answer("GET", "~/repositories", Reply(200, page_of(row)))
    printed = ploinky.succeeds("repo", "list").splitlines()[1]
    assert printed.split() == ["agents", URL, "-", "token", "2026-01-01T00:00:00Z", "no", "answer"]


def test_agents_of_all_repositories_are_listed(ploinky: CommandLine, stub: StubServer) -> None:
    """Each manifest is a line; a broken one says why."""
    good = {"name": "first", "about": "The first", "commands": ["say", "shout"], "error": ""}
    broken = {"name": "second", "about": "", "commands": [], "error": "line 1"}
    stub.answer("GET", "~/repositories", Reply(200, page_of({"name": "agents"}, {"name": "others"})))
    stub.answer("GET", "~/repositories/agents/agents", Reply(200, page_of(good, broken)))
    stub.answer("GET", "~/repositories/others/agents", Reply(200, page_of()))
    printed = ploinky.succeeds("agent", "list").splitlines()
    assert [line.split() for line in printed[1:]] == [
        ["agents", "first", "say,", "shout", "The", "first"],
        ["agents", "second", "-", "cannot", "be", "used:", "line", "1"],
    ]
    assert json.loads(ploinky.succeeds("agent", "list", "agents", "--json"))[0]["commands"] == ["say", "shout"]
