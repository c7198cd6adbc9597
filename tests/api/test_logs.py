"""What an agent prints, at once and live, of a real server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from ploinky.control.pools import FOLLOWER_THREADS
from tests.adapters.sources.git_repositories import GitRepository
from tests.server.running import RunningServer, run_to_end
from tests.waiting import wait_until

SAYS = """
import sys

def handle(params, context):
    sys.stderr.write(params[0])
    sys.stderr.flush()
"""
LIMIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def talker(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An agent that prints what it is told."""
    repository = GitRepository(tmp_path_factory.mktemp("talker") / "talker")
    repository.commit({"handlers/say.py": SAYS, "manifest.json": '{"name": "talker", "access": "public"}'})
    return server.serve("/talker", "talker", repository.directory)


def say(server: RunningServer, text: str) -> None:
    assert server.ask("POST", "/talker/say", {"params": [text]}).status == 200


@contextmanager
def stream(server: RunningServer, path: str) -> Iterator[HTTPResponse]:
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=LIMIT_SECONDS)
    try:
        connection.request("GET", f"/management/api/deployments/{path}", headers={"X-API-Key": server.key})
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def read_until(response: HTTPResponse, wanted: str) -> list[Any]:
    """Read events until one of them holds a line, or a remark, with this text."""
    found: list[Any] = []
    while line := response.readline():
        name, _, text = line.decode().rstrip("\r\n").partition(": ")
        if name == "data":
            found.append(json.loads(text))
            if any(wanted in said for said in [*found[-1].get("lines", ()), found[-1].get("remark", "")]):
                return found
    raise AssertionError(f"the stream ended without {wanted}: {found}")


def test_streams_what_is_printed(server: RunningServer, talker: str) -> None:
    """First the newest lines, then each as it is printed, with the instance that printed it."""
    say(server, "first\n")
    with stream(server, f"{talker}/logs?follow=true&tail=1") as response:
        assert (response.getheader("content-type") or "").startswith("text/event-stream")
        assert "first" in str(read_until(response, "first"))
        say(server, "second \x1b[31m\n")
        (event,) = [event for event in read_until(response, "second") if "lines" in event]
        assert event == {"instance": f"{talker}.1.0", "lines": ["second \x1b[31m"]}


def test_goes_on_with_the_next_generation(server: RunningServer, talker: str) -> None:
    """A restart is told by a remark, and what the new generation prints follows."""
    generation = server.api("GET", f"/deployments/{talker}").document["generation"]
    with stream(server, f"{talker}/logs?follow=true&tail=0") as response:
        server.api("POST", f"/deployments/{talker}/restart")
        assert f"{talker}.{generation + 1}.0 goes on" in str(read_until(response, "goes on"))
        say(server, "from the next\n")
        read_until(response, "from the next")
    old = server.api("GET", f"/deployments/{talker}/logs?generation={generation}")
    assert (old.status, b"from the next" in old.body) == (200, False)


def test_followers_that_disconnect_leave_room(server: RunningServer, talker: str) -> None:
    """Twice as many as may follow can do so, one after the other, though no line is printed."""
    say(server, "still here\n")
    for _ in range(2 * FOLLOWER_THREADS):
        with stream(server, f"{talker}/logs?follow=true&tail=1") as response:
            read_until(response, "still here")

    def is_free() -> bool:
        with stream(server, f"{talker}/logs?follow=true&tail=1") as response:
            return response.status == 200

    wait_until(is_free, timeout_seconds=LIMIT_SECONDS, what="room for one more")


def test_too_many_are_refused(server: RunningServer, talker: str) -> None:
    """One follower more than there are threads is refused in the error format, and ordinary requests go on."""
    say(server, "full\n")
    streams = [stream(server, f"{talker}/logs?follow=true&tail=1") for _ in range(FOLLOWER_THREADS)]
    opened = []
    try:
        for one in streams:
            opened.append((one, one.__enter__()))
            read_until(opened[-1][1], "full")
        answer = server.api("GET", f"/deployments/{talker}/logs?follow=true")
        assert (answer.status, answer.code) == (429, "OVERLOADED")
        assert server.api("GET", f"/deployments/{talker}/logs?tail=1").body == b"full\n"
    finally:
        for one, _ in opened:
            one.__exit__(None, None, None)


@pytest.mark.parametrize("query", ["tail=-1", "generation=0", "follow=perhaps", "tail=99999"])
def test_refuses_what_cannot_be_meant(server: RunningServer, talker: str, query: str) -> None:
    """A query that cannot be understood is refused."""
    assert server.api("GET", f"/deployments/{talker}/logs?{query}").status == 400


def test_finds_no_unknown_output(server: RunningServer, talker: str) -> None:
    """A deployment or generation that never was has no output to follow."""
    assert server.api("GET", "/deployments/absent/logs?follow=true").code == "DEPLOYMENT_NOT_FOUND"
    assert server.api("GET", f"/deployments/{talker}/logs?follow=true&generation=99").code == "INSTANCE_NOT_FOUND"


def test_the_command_line_runs_and_reads(server: RunningServer, talker: str) -> None:
    """From end to end: a command beside the agent, its exit code, what the agent takes, and what it printed."""
    say(server, "for the command line\n")
    access = {"PLOINKY_URL": server.url, "PLOINKY_KEY": server.key}

    def run(*arguments: str) -> tuple[int, str, str]:
        ran = run_to_end(server.directory, *arguments, changes=access)
        return ran.returncode, ran.stdout, ran.stderr

    assert run("exec", "/talker", "--", "sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert run("logs", "/talker", "--tail", "1") == (0, "for the command line\n", "")
    code, out, _ = run("stats", "/talker")
    assert code == 0
    assert f"{talker}." in out
    code, out, _ = run("instances")
    assert "running" in out


def test_a_stop_of_the_server_ends_streams(server: RunningServer, talker: str) -> None:
    """The last test of this server: its stop ends what is followed."""
    say(server, "goodbye\n")
    with stream(server, f"{talker}/logs?follow=true&tail=1") as response:
        read_until(response, "goodbye")
        server.stop()
        while response.readline():
            pass
