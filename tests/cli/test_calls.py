"""Calling agents, their tasks, and the account of what happened."""

import json
from typing import Any

import pytest

from ploinky.cli import output
from ploinky.cli.commands import call as call_module
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, event, health, task
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

LOCATION = "/management/api/tasks/task1?token=abc"


def test_prints_a_text_as_it_is(ploinky: CommandLine, stub: StubServer) -> None:
    """A string result is printed raw, for the next program in the pipe."""
    stub.answer("POST", "/demo", Reply(200, 'Hello, "World"!\n\x1b[1m'))
    assert ploinky.succeeds("call", "/demo", "hello", "World", "1", "true") == 'Hello, "World"!\n\x1b[1m\n'
    assert stub.requests[0].document == {"command": "hello", "params": ["World", "1", "true"]}
    assert stub.requests[0].headers["host"] == f"localhost:{stub.port}"


def test_shows_a_terminal_what_it_would_obey(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent cannot steer the terminal of who calls it."""
    monkeypatch.setattr(call_module, "is_terminal", lambda: True)
    stub.answer("POST", "/demo", Reply(200, "a\n\tb\x1b[2J"))
    assert ploinky.succeeds("call", "/demo", "hello") == "a\n\tb\\x1b[2J\n"


@pytest.mark.parametrize("data", [{"a": [1, "é"]}, [1, 2], 3.5, None, True])
def test_prints_anything_else_as_json(ploinky: CommandLine, stub: StubServer, data: Any) -> None:
    """Other results are JSON."""
    stub.answer("POST", "/demo", Reply(200, data))
    assert json.loads(ploinky.succeeds("call", "/demo", "get")) == data


def test_prints_a_text_as_json_when_asked(ploinky: CommandLine, stub: StubServer) -> None:
    """With --json a text has its quotes."""
    stub.answer("POST", "/demo", Reply(200, "x"))
    assert ploinky.succeeds("call", "--json", "/demo", "get") == '"x"\n'


def test_prints_bytes_untouched(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """An agent's picture is written to stdout as it came."""
    call_module.print_result(b"\xff\x00\xfe", is_json=False)
    assert capfdbinary.readouterr().out == b"\xff\x00\xfe"


@pytest.mark.parametrize(
    ("arguments", "host", "path"),
    [
        (("shop.test/a/b",), "shop.test", "/a/b"),
        (("/a", "--domain", "shop.test"), "shop.test", "/a"),
        (("--domain", "*", "/"), "*", "/"),
    ],
)
def test_asks_for(ploinky: CommandLine, stub: StubServer, arguments: tuple[str, ...], host: str, path: str) -> None:
    """The domain comes from the option or stands before the path."""
    stub.answer("POST", path, Reply(200, 1))
    ploinky.succeeds("call", *arguments, "hello")
    assert stub.requests[0].headers["host"] == f"{host}:{stub.port}"


def test_sends_json_params(ploinky: CommandLine, stub: StubServer) -> None:
    """Values other than texts are given as a JSON array; params that begin with - go after --."""
    stub.answer("POST", "/demo", Reply(200, 1))
    ploinky.succeeds("call", "/demo", "add", "--json-params", '[1, true, {"a": null}]')
    ploinky.succeeds("call", "/demo", "add", "--", "-1", "--json")
    assert stub.requests[0].document["params"] == [1, True, {"a": None}]
    assert stub.requests[1].document["params"] == ["-1", "--json"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--json-params", "{"),
        ("--json-params", '{"a": 1}'),
        ("--json-params", "[1]", "x"),
        ("--json-params", "[" * 100_000),
        ("--timeout", "0"),
        ("-1",),
    ],
)
def test_refuses_params(ploinky: CommandLine, stub: StubServer, wrong: tuple[str, ...]) -> None:
    """Params that cannot be sent as meant are a usage error."""
    assert ploinky("call", "/demo", "add", *wrong).code == 64
    assert not stub.requests


def test_prints_the_task_of_an_asynchronous_call(ploinky: CommandLine, stub: StubServer) -> None:
    """With --async the task's id is the answer."""
    accepted = {"id": "task1", "state": "submitted"}
    stub.answer("POST", "/demo", Reply(202, accepted, headers={"Location": LOCATION}))
    assert ploinky.succeeds("call", "/demo", "wait", "--async") == "task1\n"
    assert json.loads(ploinky.succeeds("call", "/demo", "wait", "--async", "--json")) == accepted
    assert stub.requests[0].headers["prefer"] == "respond-async"


def test_awaits_a_call_that_takes_long(ploinky: CommandLine, stub: StubServer) -> None:
    """What is not finished in time for one answer is read where the answer says."""
    stub.answer("POST", "/demo", Reply(202, {"id": "task1"}, headers={"Location": LOCATION}))
    finished = task("succeeded", result="done")
    stub.answer("GET", "~/tasks/task1", Reply(200, task("running")), Reply(200, finished))
    assert ploinky.succeeds("call", "/demo", "wait", "60") == "done\n"
    assert stub.asked("GET", "~/tasks/task1")[0].query == {"token": "abc"}
    assert "prefer" not in stub.requests[0].headers


def test_awaits_no_longer_than_told(ploinky: CommandLine, stub: StubServer) -> None:
    """Who waits less long than the server does asks for the task, and is told that it goes on."""
    stub.answer("POST", "/demo", Reply(202, {"id": "task1"}))
    stub.answer("GET", "~/tasks/task1", Reply(200, task("running")))
    ran = ploinky("call", "/demo", "wait", "60", "--timeout", "0.05")
    assert ran.code == 1
    assert "waiting for task task1" in ran.err
    assert "WAIT_TIMEOUT" in ran.err
    assert "`ploinky task task1 --wait`" in ran.err
    assert stub.requests[0].headers["prefer"] == "respond-async"


def test_has_nothing_to_await_without_a_task(ploinky: CommandLine, stub: StubServer) -> None:
    """An acceptance that names no task is an error, not an endless wait."""
    stub.answer("POST", "/demo", Reply(202, {}))
    assert "UNREADABLE_ANSWER" in ploinky("call", "/demo", "wait").err


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (refusal(404, "COMMAND_NOT_FOUND"), 6),
        (refusal(404, "DEPLOYMENT_NOT_FOUND"), 6),
        (refusal(500, "TASK_EXECUTION_ERROR", "division by zero"), 1),
        (refusal(504, "TASK_TIMEOUT"), 1),
        (refusal(401, "UNAUTHENTICATED"), 3),
        (refusal(409, "CANCELLED"), 6),
    ],
)
def test_exits_with(ploinky: CommandLine, stub: StubServer, reply: Reply, code: int) -> None:
    """A refused or failed call has its exit code and prints no result."""
    stub.answer("POST", "/demo", reply)
    ran = ploinky("call", "/demo", "hello")
    assert (ran.code, ran.out) == (code, "")


def test_fails_as_the_task_failed(ploinky: CommandLine, stub: StubServer) -> None:
    """A task that is awaited and fails makes the command fail with its code and hint."""
    error = {"code": "TASK_EXECUTION_ERROR", "message": "no such file", "details": {"hint": "Make it."}}
    stub.answer("GET", "~/tasks/task1", Reply(200, task("running")), Reply(200, task("failed", error=error)))
    ran = ploinky("task", "task1", "--wait")
    assert ran.code == 1
    assert "state       failed\n" in ran.out
    assert "error: no such file (TASK_EXECUTION_ERROR)\nhint: Make it.\n" in ran.err


@pytest.mark.parametrize("state", ["cancelled", "dead", "failed"])
def test_fails_for_a_task_that_ended(ploinky: CommandLine, stub: StubServer, state: str) -> None:
    """A task without an error document fails by its state."""
    stub.answer("GET", "~/tasks/task1", Reply(200, task(state)))
    assert f"error: the task is {state} ({state.upper()})" in ploinky("task", "task1", "--wait").err


def test_shows_a_task(ploinky: CommandLine, stub: StubServer) -> None:
    """Looking at a failed task is no failure."""
    stub.answer("GET", "~/tasks/task1", Reply(200, task("succeeded", result={"a": 1})))
    assert 'result      {"a": 1}\n' in ploinky.succeeds("task", "task1")
    assert json.loads(ploinky.succeeds("task", "task1", "--json"))["result"] == {"a": 1}


def test_cancels_a_task(ploinky: CommandLine, stub: StubServer) -> None:
    """With --cancel the task is asked to stop; with --wait, too, it is shown once it has."""
    stub.answer("DELETE", "~/tasks/task1", Reply(202, task("running")))
    stub.answer("GET", "~/tasks/task1", Reply(200, task("running")), Reply(200, task("cancelled")))
    assert "state       running\n" in ploinky.succeeds("task", "task1", "--cancel")
    assert "state       cancelled\n" in ploinky.succeeds("task", "task1", "--cancel", "--wait")


def test_prints_one_line_for_each_event(ploinky: CommandLine, stub: StubServer) -> None:
    """Position, time, stream, type and the beginning of the data; nothing else on the line."""
    long = event(12, data={"text": "x" * 500})
    stub.answer("GET", "~/events", Reply(200, {**page_of(event(11), long), "next": None}))
    first, second = ploinky.succeeds("events", "--after", "10").splitlines()
    assert first == ('      11  2026-01-01T00:00:00Z  deployment/dep1  DeploymentRequested  {"domain": "localhost"}')
    assert len(second) < 200
    assert stub.requests[0].query["after"] == "10"


def test_prints_events_as_json_lines(ploinky: CommandLine, stub: StubServer) -> None:
    """With --json each line is a whole event."""
    stub.answer("GET", "~/events", Reply(200, {**page_of(event(1), event(2)), "next": None}))
    lines = ploinky.succeeds("events", "--json").splitlines()
    assert [json.loads(line) for line in lines] == [event(1), event(2)]


def test_filters_events(ploinky: CommandLine, stub: StubServer) -> None:
    """Filters are asked for, and held also when the server does not know them."""
    events = [event(1, type="TaskSubmitted", stream="task/t1"), event(2), event(3, type="TaskEnded", stream="task/t2")]
    stub.answer("GET", "~/events", Reply(200, {**page_of(*events), "next": None}))
    assert len(ploinky.succeeds("events", "--type", "Task").splitlines()) == 2
    assert len(ploinky.succeeds("events", "--type", "Task", "--stream", "task/t2").splitlines()) == 1
    assert {"type": "Task", "stream": "task/t2"}.items() <= dict(stub.requests[1].query).items()


def test_follows_events_until_it_is_refused(ploinky: CommandLine, stub: StubServer) -> None:
    """Following begins now and prints what comes, over broken streams."""
    stub.answer("GET", "~/health", Reply(200, health()))
    line = f"data: {json.dumps(event(42))}\n\n".encode()
    stub.answer("GET", "~/events/stream", Reply(content=line, is_stream=True), refusal(401, "UNAUTHENTICATED"))
    ran = ploinky("events", "-f", "--json")
    assert (ran.code, json.loads(ran.out)["position"]) == (3, 42)
    assert [request.query["after"] for request in stub.asked("GET", "~/events/stream")] == ["41", "42"]


def test_colours_states_on_a_terminal_only(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR is obeyed where colours would be."""
    assert "\x1b[32m" in output.style("running", fg="green")
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.style("running", fg="green") == "running"
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    assert "\x1b" not in ploinky.succeeds("deployments")
