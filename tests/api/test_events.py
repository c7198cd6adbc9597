"""What happened, in pages and live."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.running import RunningServer

pytestmark = pytest.mark.usefixtures("deployment_id")


def all_events(server: RunningServer, query: str = "", per_page: int = 7) -> list[Any]:
    """Follow `next` to the end."""
    found: list[Any] = []
    after = 0
    while True:
        page = server.api("GET", f"/events?after={after}&limit={per_page}{query}").document
        if not page["data"]:
            return found
        found += page["data"]
        after = page["next"]


@contextmanager
def stream(server: RunningServer, query: str = "", **headers: str) -> Iterator[HTTPResponse]:
    """Open a live stream of events."""
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
    sent = {"X-API-Key": server.key, **{name.replace("_", "-"): text for name, text in headers.items()}}
    try:
        connection.request("GET", f"/management/api/events/stream{query}", headers=sent)
        with connection.getresponse() as response:
            assert response.status == 200
            assert (response.getheader("content-type") or "").startswith("text/event-stream")
            yield response
    finally:
        connection.close()


def messages(response: HTTPResponse, count: int) -> list[Any]:
    """Read that many events: (id, type, data)."""
    found: list[Any] = []
    fields: dict[str, str] = {}
    while len(found) < count:
        line = response.readline().decode().rstrip("\r\n")
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
        elif "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
            fields = {}
    return found


def test_pages_lead_through_everything(server: RunningServer) -> None:
    """Following `next` shows each event once, in order, without a gap."""
    found = all_events(server)
    assert [event["position"] for event in found] == list(range(1, len(found) + 1))
    assert found[0]["type"] == "access.key_issued"
    assert all(event["actor"] for event in found)
    assert len(found) > 7


def test_filters_by_type_and_stream(server: RunningServer, deployment_id: str) -> None:
    """A type is matched by its beginning, a stream as a whole."""
    deployments = all_events(server, "&type=deployment.")
    assert deployments
    assert all(event["type"].startswith("deployment.") for event in deployments)
    own = all_events(server, f"&stream=deployment/{deployment_id}")
    assert [event["version"] for event in own] == list(range(1, len(own) + 1))
    assert all_events(server, "&stream=deployment/") == []


def test_streams_as_it_happens(server: RunningServer) -> None:
    """Without a position the stream begins now and shows each event with its position as id."""
    with stream(server) as response:
        task_id = server.ask("GET", "/sample/echo").headers["x-ploinky-task"]
        found = messages(response, 3)
    assert [kind for _, kind, _ in found] == ["task.submitted", "task.attempt_started", "task.succeeded"]
    assert {event["stream"] for _, _, event in found} == {f"task/{task_id}"}
    assert all(event["position"] == position for position, _, event in found)


def test_resumes_where_it_broke_off(server: RunningServer) -> None:
    """`Last-Event-ID` wins over `after`; nothing is missed and nothing comes twice."""
    with stream(server, "?after=0") as response:
        first = messages(response, 3)
    with stream(server, "?after=0", Last_Event_ID=str(first[-1][0])) as response:
        second = messages(response, 3)
    assert [position for position, _, _ in first + second] == [1, 2, 3, 4, 5, 6]


def test_a_foreign_id_is_no_position(server: RunningServer) -> None:
    """A `Last-Event-ID` that is none of ours is passed over."""
    with stream(server, "?after=1", Last_Event_ID="abc") as response:
        assert messages(response, 1)[0][0] == 2


def test_streams_what_was_asked_for(server: RunningServer) -> None:
    """Filters hold for streams too."""
    with stream(server, "?after=0&type=task.succeeded") as response:
        server.ask("GET", "/sample/echo")
        assert messages(response, 1)[0][1] == "task.succeeded"


def test_many_may_listen(server: RunningServer) -> None:
    """Each listener gets everything; one who leaves disturbs nobody."""
    with stream(server) as left, stream(server) as stays:
        left.close()
        server.ask("GET", "/sample/echo")
        assert len(messages(stays, 3)) == 3
