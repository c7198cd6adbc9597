"""Outputs are printed as they are for programs, and harmless for terminals."""

import json
from typing import Any

import pytest

from ploinky.cli.commands import logs
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

LOGS = "~/deployments/dep1/logs"


def events(*documents: Any) -> Reply:
    content = ": nothing new\r\n\r\n" + "".join(
        f"event: x\r\ndata: {json.dumps(document)}\r\n\r\n" for document in documents
    )
    return Reply(200, content=content.encode(), headers={"Content-Type": "text/event-stream"}, is_stream=True)


def test_shows_logs(ploinky: CommandLine, stub: StubServer) -> None:
    """Logs are printed as they are, once with a line end."""
    plain = {"Content-Type": "text/plain"}
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("GET", "~/deployments/dep1/logs", Reply(content=b"one\ntwo", headers=plain))
    assert ploinky.succeeds("logs", "/demo", "--tail", "2") == "one\ntwo\n"
    assert stub.requests[1].query == {"tail": "2"}
    expected = {"deployment": "dep1", "lines": ["one", "two"]}
    assert json.loads(ploinky.succeeds("logs", "dep1", "--json")) == expected


def test_chooses_an_instance(ploinky: CommandLine, stub: StubServer) -> None:
    """Generation and instance go to the server."""
    stub.answer("GET", LOGS, Reply(content=b"old\n", headers={"Content-Type": "text/plain"}))
    assert ploinky.succeeds("logs", "dep1", "--generation", "2", "--instance", "0") == "old\n"
    assert stub.requests[0].query == {"generation": "2", "instance": "0"}


def test_follows_until_the_end(ploinky: CommandLine, stub: StubServer) -> None:
    """Lines are printed as they come, remarks go to stderr, and it ends when the server says that nothing comes."""
    remark = {"instance": "b", "remark": "a is over; b goes on"}
    stub.answer(
        "GET", LOGS, events({"instance": "a", "lines": ["one", "two"]}, remark, {"instance": "b", "lines": ["3"]})
    )
    ran = ploinky("logs", "-f", "dep1", "--tail", "5")
    assert (ran.code, ran.out, ran.err) == (0, "one\ntwo\n3\n", "-- a is over; b goes on\n")
    assert stub.requests[0].query == {"follow": "true", "tail": "5"}


def test_follows_as_json(ploinky: CommandLine, stub: StubServer) -> None:
    """With --json each event is one line."""
    found = [{"instance": "a", "lines": ["one"]}, {"instance": "b", "remark": "goes on"}]
    stub.answer("GET", LOGS, events(*found))
    assert [json.loads(line) for line in ploinky.succeeds("logs", "-f", "dep1", "--json").splitlines()] == found


@pytest.mark.parametrize("is_followed", [True, False])
def test_spares_the_terminal(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch, *, is_followed: bool
) -> None:
    """On a terminal what could steer it is written out, unless the output is wanted raw."""
    monkeypatch.setattr(logs, "is_terminal", lambda: True)
    plain = Reply(content=b"red \x1b[31m\n", headers={"Content-Type": "text/plain"})
    stub.answer("GET", LOGS, events({"instance": "a", "lines": ["red \x1b[31m"]}) if is_followed else plain)
    options = ["-f"] if is_followed else []
    assert ploinky.succeeds("logs", "dep1", *options) == "red \\x1b[31m\n"
    assert ploinky.succeeds("logs", "dep1", "--raw", *options) == "red \x1b[31m\n"


def test_tells_a_refusal(ploinky: CommandLine, stub: StubServer) -> None:
    """A server that has too many followers says so."""
    stub.answer("GET", LOGS, refusal(429, "OVERLOADED", "32 outputs are followed already"))
    ran = ploinky("logs", "-f", "dep1")
    assert ran.code == 1
    assert "32 outputs" in ran.err
