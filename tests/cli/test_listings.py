"""Lists are aligned tables for people and the API's JSON for programs."""

import io
import json
from typing import Any

import pytest

from ploinky.cli.output import cell_text
from ploinky.cli.text import one_line, visible
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, ended, health, rolling, task
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

LISTS: dict[str, tuple[tuple[str, ...], str, dict[str, Any], tuple[str, ...]]] = {
    "deployments": (
        ("deployments",),
        "~/deployments",
        page_of(deployment(), deployment(path="/other", state="failed", commit=None)),
        ("localhost/demo   running  demo   docker   0123456789  3/1", "localhost/other  failed   demo   docker   -"),
    ),
    "instances": (
        ("instances",),
        "~/instances",
        page_of(
            {
                "id": "dep1.1.0",
                "status": "running",
                "isReady": False,
                "generation": 1,
                "runtime": "docker",
                "deployment": "dep1",
            },
            {
                "id": "dep1.2.0",
                "status": "stopped",
                "isReady": False,
                "generation": 2,
                "runtime": "docker",
                "deployment": "dep1",
                "exitCode": 137,
                "explanation": "killed (SIGKILL)",
            },
        ),
        (
            "dep1.1.0  running  no     1           docker   -    dep1        -",
            "dep1.2.0  stopped  no     2           docker   -    dep1        137: killed (SIGKILL)",
        ),
    ),
    "routes": (
        ("routes",),
        "~/routes",
        page_of({"domain": "*", "path": "/", "deployment": "dep1"}),
        ("*       /     dep1",),
    ),
    "tasks": (("tasks",), "~/tasks", page_of(task("dead")), ("task1  dead   hello    dep1        1",)),
    "registries": (
        ("registry", "list"),
        "~/registries",
        page_of({"host": "images.example.com", "username": "robot"}),
        ("images.example.com  robot",),
    ),
    "repositories": (
        ("repo", "list"),
        "~/repositories",
        page_of({"name": "mine", "url": "https://git.test/x", "branch": None}),
        ("mine  https://git.test/x  -",),
    ),
    "keys": (
        ("keys", "list"),
        "~/keys",
        page_of({"id": "k1", "name": "admin", "isRevoked": False, "createdAt": "2026-01-01T00:00:00Z"}),
        ("k1  admin  2026-01-01T00:00:00Z  no",),
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_prints_a_table_of(ploinky: CommandLine, stub: StubServer, what: str) -> None:
    """A list has a line of titles and one line for each row, aligned, without colours."""
    command, path, page, lines = LISTS[what]
    stub.answer("GET", path, Reply(200, page))
    printed = ploinky.succeeds(*command).splitlines()
    assert printed[0].isupper()
    assert len(printed) == 1 + len(page["data"])
    for line, expected in zip(printed[1:], lines, strict=True):
        assert line.startswith(expected)
    assert "\x1b" not in "".join(printed)


@pytest.mark.parametrize("what", LISTS)
def test_prints_the_json_of(ploinky: CommandLine, stub: StubServer, what: str) -> None:
    """With --json the API's document is printed as it is."""
    command, path, page, _ = LISTS[what]
    stub.answer("GET", path, Reply(200, page))
    assert json.loads(ploinky.succeeds(*command, "--json")) == page
    assert json.loads(ploinky.succeeds("--json", *command)) == page


@pytest.mark.parametrize("what", LISTS)
def test_says_that_there_are_no(ploinky: CommandLine, stub: StubServer, what: str) -> None:
    """An empty list is told on stderr, so that stdout stays empty for scripts."""
    command, path, _, _ = LISTS[what]
    stub.answer("GET", path, Reply(200, page_of()))
    ran = ploinky(*command)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err


def test_tells_of_further_pages(ploinky: CommandLine, stub: StubServer) -> None:
    """A list that is not complete says so, and how to see the rest."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment(), pages=3)))
    ran = ploinky("deployments", "--page", "2", "--per-page", "1")
    assert "page 1 of 3, 1 in all; --page shows another" in ran.err
    assert stub.requests[0].query == {"page": "2", "perPage": "1"}


@pytest.mark.parametrize("target", ["/demo", "localhost/demo", "LOCALHOST/demo/"])
def test_shows_the_deployment_at(ploinky: CommandLine, stub: StubServer, target: str) -> None:
    """A deployment is named by its path, with or without its domain."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    out = ploinky.succeeds("deployments", target)
    assert stub.requests[0].query == {"domain": "localhost", "path": "/demo"}
    assert "url            http://localhost:8000/demo\n" in out
    assert "last rollout   generation 1 succeeded\n" in out


def test_shows_the_deployment_with_an_id(ploinky: CommandLine, stub: StubServer) -> None:
    """What has no slash is an id; rollouts are told in words."""
    failed = ended(1, "failed", step="image", message="no space", code="STORAGE_FULL")
    stub.answer("GET", "~/deployments/dep1", Reply(200, rolling(2, "start", lastRollout=failed)))
    out = ploinky.succeeds("deployments", "dep1")
    assert "rollout        generation 2, deploy, at start\n" in out
    assert "last rollout   generation 1 failed at image: no space (STORAGE_FULL)\n" in out
    assert json.loads(ploinky.succeeds("deployments", "dep1", "--json"))["id"] == "dep1"


def test_filters_tasks(ploinky: CommandLine, stub: StubServer) -> None:
    """Tasks are asked for by deployment, named by its path, and state."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("GET", "~/tasks", Reply(200, page_of(task("dead"))))
    ploinky.succeeds("tasks", "--deployment", "/demo", "--state", "dead")
    assert stub.asked("GET", "~/tasks")[0].query == {"deployment": "dep1", "state": "dead"}


def test_shows_the_server(ploinky: CommandLine, stub: StubServer) -> None:
    """The state of the server is its health, its engines and what is deployed."""
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment(), deployment(), deployment(state="failed"))))
    lines = ploinky.succeeds("status").splitlines()
    assert "journal position  41" in lines
    assert "docker   no      -        no engine answers" in lines
    assert "deployments  3 (1 failed, 2 running)" in lines
    document = json.loads(ploinky.succeeds("status", "--json"))
    assert document["health"] == health()
    assert len(document["deployments"]["data"]) == 3


def test_shows_the_server_without_a_key(ploinky: CommandLine, stub: StubServer) -> None:
    """Health needs no key; what does is left out with a remark."""
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("GET", "~/deployments", refusal(401, "UNAUTHENTICATED"))
    ran = ploinky("status")
    assert ran.code == 0
    assert "ploinky init" in ran.err
    assert json.loads(ploinky.succeeds("health", "--json")) == health()
    assert "status            ok\n" in ploinky.succeeds("health")


def test_does_not_hide_other_failures_of_the_server(ploinky: CommandLine, stub: StubServer) -> None:
    """A server that fails is not shown as one without deployments."""
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("GET", "~/deployments", refusal(500, "INTERNAL_ERROR", "broken"))
    assert ploinky("status").code == 1


def test_shows_and_changes_settings(ploinky: CommandLine, stub: StubServer) -> None:
    """Settings are a table with what was changed; numbers are sent as numbers, anything else as text."""
    found = [{"name": "taskTimeout", "value": 30, "isChanged": True}]
    stub.answer("GET", "~/settings", Reply(200, found))
    stub.answer("PUT", "~/settings/taskTimeout", Reply(200, {"name": "taskTimeout", "value": 60}))
    assert ploinky.succeeds("settings", "show").splitlines()[1] == "taskTimeout  30     yes"
    assert json.loads(ploinky.succeeds("settings", "show", "--json")) == found
    assert ploinky.succeeds("settings", "set", "taskTimeout", "60") == "taskTimeout is 60\n"
    ploinky.succeeds("settings", "set", "taskTimeout", "[1]", "--json")
    ploinky.succeeds("settings", "set", "taskTimeout", "long")
    assert [request.document for request in stub.asked("PUT", "~/settings/taskTimeout")] == [
        {"value": 60},
        {"value": "[1]"},
        {"value": "long"},
    ]


def test_says_what_cleaning_up_removes(ploinky: CommandLine, stub: StubServer) -> None:
    """Each thing is a line, and a dry run says so."""
    answer = {"removed": ["release d1/1"], "freedBytes": 10, "isDryRun": True, "reason": ""}
    stub.answer("POST", "~/cleanup", Reply(200, answer))
    assert ploinky.succeeds("cleanup", "--dry-run") == "would remove release d1/1\n"
    assert ploinky.succeeds("cleanup") == "removed release d1/1\n"
    stub.answer("POST", "~/cleanup", Reply(200, {**answer, "removed": [], "reason": "a rollout is under way"}))
    assert "a rollout is under way" in ploinky("cleanup").err


def test_passwords_of_registries_come_on_standard_input(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is read, sent once, and shown nowhere."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    stub.answer("POST", "~/registries", Reply(201, {"host": "images.example.com", "username": "robot"}))
    stub.answer("DELETE", "~/registries/images.example.com", Reply(204, content=b""))
    arguments = ("registry", "add", "images.example.com", "--username", "robot", "--secret", "-")
    ran = ploinky(*arguments)
    assert (ran.code, ran.out) == (0, "images.example.com is asked as robot\n")
    assert "hunter2" not in ran.err
    assert stub.requests[-1].document == {"host": "images.example.com", "username": "robot", "password": "hunter2"}
    assert ploinky.succeeds("registry", "remove", "images.example.com") == "removed images.example.com\n"


def test_names_repositories(ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository gets a name and loses it again; a path of this machine is made absolute."""
    monkeypatch.chdir(ploinky.home)
    stub.answer("POST", "~/repositories", Reply(201, {"name": "mine"}))
    stub.answer("DELETE", "~/repositories/mine", Reply(204, content=b""))
    assert ploinky.succeeds("repo", "add", "mine", "./agents", "--branch", "dev") == "added mine\n"
    assert stub.requests[0].document == {"name": "mine", "url": str(ploinky.home / "agents"), "branch": "dev"}
    assert ploinky.succeeds("repo", "remove", "mine") == "removed mine\n"
    assert json.loads(ploinky.succeeds("repo", "remove", "mine", "--json")) == {}


def test_revokes_a_key(ploinky: CommandLine, stub: StubServer) -> None:
    """A key is revoked by its id."""
    stub.answer("DELETE", "~/keys/k1", Reply(200, {"id": "k1"}))
    assert ploinky.succeeds("keys", "revoke", "k1") == "revoked k1\n"
    assert json.loads(ploinky.succeeds("keys", "revoke", "k1", "--json")) == {"id": "k1"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ({"a": [1]}, '{"a": [1]}'),
        ("two\nlines\t", "two lines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_writes_a_cell(value: Any, text: str) -> None:
    """A value from outside fits one line and cannot steer the terminal."""
    assert cell_text(value) == text


def test_makes_hidden_characters_visible() -> None:
    """Characters that turn or hide text are shown as what they are; letters of any script stay."""
    assert one_line("a\u202eb ключ é") == "a\\u202eb ключ é"
    assert visible("a\r\nb\tc", kept="\n\t") == "a\\r\nb\tc"


def test_does_not_trip_over_odd_rows(ploinky: CommandLine, stub: StubServer) -> None:
    """Rows of another shape than expected are shown as far as they go."""
    stub.answer("GET", "~/deployments", Reply(200, {"data": [{"tasks": [1], "commit": 5}, "row", None]}))
    assert len(ploinky.succeeds("deployments").splitlines()) == 2
    stub.answer("GET", "~/deployments", Reply(200, {"data": "none"}))
    assert ploinky("deployments").code == 0


def test_an_instance_of_a_silent_engine_is_unknown(ploinky: CommandLine, stub: StubServer) -> None:
    """What was last seen is not shown as the present while the engine does not answer."""
    row = {"id": "dep1.1.0", "status": "running", "isUnobservable": True, "unknownSince": "2026-01-01T00:00:00Z"}
    stub.answer("GET", "~/instances", Reply(200, page_of(row, {**row, "unknownSince": None})))
    printed = ploinky.succeeds("instances").splitlines()
    assert "unknown since 2026-01-01T00:00:00Z" in printed[1]
    assert "running" not in "".join(printed)
