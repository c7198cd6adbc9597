"""Events come in order, none twice, none left out, whatever happens to the connection."""

import itertools
import json
from typing import Any

import pytest

from ploinky.client import ApiError, ConnectionFailed, PloinkyClient
from ploinky.client import event_feed as feed_module
from ploinky.client.connection import Connection
from ploinky.client.event_feed import EventFeed
from tests.cli.documents import event, health
from tests.cli.stub_server import Reply, Request, StubServer, page_of, refusal

STREAM = "~/events/stream"


def sent(event: dict[str, Any]) -> bytes:
    return f"id: {event['position']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def stream_of(*positions: int, after: bytes = b"", is_held: bool = False) -> Reply:
    content = b": hello\n\n" + b"".join(sent(event(position)) for position in positions) + after
    headers = {"Content-Type": "text/event-stream"}
    return Reply(content=content, headers=headers, is_stream=True, is_held=is_held)


def take(feed: Any, count: int) -> list[int]:
    try:
        return [event["position"] for event in itertools.islice(feed, count)]
    finally:
        if hasattr(feed, "close"):
            feed.close()


def feed_of(stub: StubServer, after: int = 0) -> EventFeed:
    return EventFeed(Connection(stub.url, None, 5), after, pause_seconds=0)


def test_goes_on_after_the_last_position(client: PloinkyClient, stub: StubServer) -> None:
    """A broken stream is taken up where it ended."""
    stub.answer("GET", STREAM, stream_of(5, 6), stream_of(7), stream_of(8, is_held=True))
    assert take(client.events(4), 4) == [5, 6, 7, 8]
    assert [request.query["after"] for request in stub.requests] == ["4", "6", "7"]


def test_leaves_out_what_was_seen(client: PloinkyClient, stub: StubServer) -> None:
    """A server that sends something again does not make it happen again."""
    stub.answer("GET", STREAM, stream_of(5, 6), stream_of(5, 6, 7, is_held=True))
    assert take(client.events(4), 3) == [5, 6, 7]


def test_begins_now_when_no_position_is_given(client: PloinkyClient, stub: StubServer) -> None:
    """Following without a position asks where the journal stands, so that nothing is lost by an early break."""
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("GET", STREAM, stream_of(), stream_of(42, is_held=True))
    assert take(client.events(), 1) == [42]
    assert [request.query["after"] for request in stub.asked("GET", STREAM)] == ["41", "41"]


def test_survives_half_an_event(client: PloinkyClient, stub: StubServer) -> None:
    """What was cut off is sent again by the server, and not guessed."""
    stub.answer("GET", STREAM, stream_of(5, after=sent(event(6))[:-20]), stream_of(6, is_held=True))
    assert take(client.events(4), 2) == [5, 6]


@pytest.mark.parametrize(
    "noise", [b": keep-alive\n\n", b"data: {broken\n\n", b"data: [1]\n\n", b"retry: 5\n\n", b"\n\n"]
)
def test_passes_over(client: PloinkyClient, stub: StubServer, noise: bytes) -> None:
    """Comments, and what is no event of ours, do not end the stream."""
    stub.answer("GET", STREAM, stream_of(5, after=noise + sent(event(6)), is_held=True))
    assert take(client.events(4), 2) == [5, 6]


def test_joins_the_lines_of_one_event(client: PloinkyClient, stub: StubServer) -> None:
    """Data over several lines is one document, as the format says; line ends may be those of Windows."""
    document = json.dumps(event(5), indent=1)
    content = "".join(f"data: {line}\r\n" for line in document.splitlines()) + "\r\n"
    stub.answer("GET", STREAM, Reply(content=content.encode(), is_stream=True, is_held=True))
    assert take(client.events(4), 1) == [5]


def test_asks_for_its_filters_again_after_a_break(client: PloinkyClient, stub: StubServer) -> None:
    """A stream taken up again is the same stream."""
    stub.answer("GET", STREAM, stream_of(5), stream_of(6, is_held=True))
    assert take(client.events(4, type="Task", stream=None), 2) == [5, 6]
    assert [request.query for request in stub.requests] == [
        {"after": "4", "type": "Task"},
        {"after": "5", "type": "Task"},
    ]


def test_waits_for_a_server_that_restarts(stub: StubServer) -> None:
    """Unavailable once it was connected means try again."""
    stub.answer("GET", STREAM, stream_of(5), refusal(503, "SHUTTING_DOWN"), Reply(is_dropped=True), stream_of(6))
    assert take(iter(feed_of(stub, 4)), 2) == [5, 6]


def test_gives_up_when_nothing_comes_any_more(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries without any progress are counted."""
    monkeypatch.setattr(feed_module, "RECONNECT_LIMIT_TRIES", 3)
    stub.answer("GET", STREAM, stream_of(5), refusal(503, "SHUTTING_DOWN", "going down"))
    with pytest.raises(ConnectionFailed, match="going down"):
        list(feed_of(stub, 4))
    assert len(stub.requests) == 1 + 4


def test_refuses_at_once_what_it_may_not_read(client: PloinkyClient, stub: StubServer) -> None:
    """A refusal is not a broken connection."""
    stub.answer("GET", STREAM, refusal(403, "FORBIDDEN", "not for you"))
    with pytest.raises(ApiError, match="not for you"):
        next(client.events(0))
    assert len(stub.requests) == 1


def test_stops_when_its_key_is_revoked(stub: StubServer) -> None:
    """A refusal in the middle ends the stream for good."""
    stub.answer("GET", STREAM, stream_of(5), refusal(401, "UNAUTHENTICATED"))
    with pytest.raises(ApiError):
        list(feed_of(stub, 4))


def test_says_at_once_that_nothing_listens() -> None:
    """The first connection is not tried again: the address may be wrong."""
    with pytest.raises(ConnectionFailed):
        list(EventFeed(Connection("http://127.0.0.1:1", None, 5), 0))


def test_refuses_an_endless_line(client: PloinkyClient, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not filled by one event."""
    monkeypatch.setattr(feed_module, "LINE_LIMIT_BYTES", 50)
    stub.answer("GET", STREAM, stream_of(5))
    with pytest.raises(ApiError, match="larger"):
        next(client.events(0))


def test_gives_all_pages(client: PloinkyClient, stub: StubServer) -> None:
    """Without following, the pages are read to the last one."""
    stub.answer(
        "GET",
        "~/events",
        Reply(200, {**page_of(event(1), event(2)), "next": 2}),
        Reply(200, {**page_of(event(3)), "next": 3}),
        Reply(200, {**page_of(), "next": None}),
    )
    assert take(client.events(follow=False), 10) == [1, 2, 3]
    assert [request.query["after"] for request in stub.requests] == ["0", "2", "3"]


def test_goes_through_pages_that_its_filter_left_empty(client: PloinkyClient, stub: StubServer) -> None:
    """A page without a match is not the last one when the server says where the next begins."""
    stub.answer(
        "GET",
        "~/events",
        Reply(200, {"data": [], "next": 500}),
        Reply(200, {"data": [event(501)], "next": 501}),
        Reply(200, {"data": [], "next": 501}),
    )
    assert take(client.events(0, follow=False, type="Rare"), 10) == [501]


def test_ends_when_a_server_does_not_count_on(client: PloinkyClient, stub: StubServer) -> None:
    """A page that leads back to itself is not read for ever."""

    def same(_request: Request) -> Reply:
        return Reply(200, {"data": [event(1)], "next": 1})

    stub.answer("GET", "~/events", same)
    assert take(client.events(1, follow=False), 10) == [1]
    assert len(stub.requests) == 1
