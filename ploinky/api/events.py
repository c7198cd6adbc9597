"""`/management/api/events`: the journal in pages, and live."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from ploinky.api.schemas import EventPage
from ploinky.api.services import AnyRequest, Injected
from ploinky.api.shapes import event_shape
from ploinky.domain.errors import Invalid
from ploinky.ports.journal_store import Record

PAGE_LIMIT_EVENTS = 1_000
POSITION_LIMIT = 2**63 - 1

After = Annotated[
    int | None,
    QueryParameter(name="after", ge=0, le=POSITION_LIMIT, description="Events above this position."),
]
TypePrefix = Annotated[str, QueryParameter(name="type", description="Types that begin with this.", max_length=100)]
Stream = Annotated[str, QueryParameter(name="stream", description="One stream, as `task/<id>`.", max_length=200)]


class EventRoutes(Controller):
    """What happened."""

    path = "/management/api/events"
    tags = ("events",)

    @get()
    async def list_events(
        self,
        services: Injected,
        after: After = None,
        limit: Annotated[int, QueryParameter(name="limit", ge=1, le=PAGE_LIMIT_EVENTS)] = 100,
        type_prefix: TypePrefix = "",
        stream: Stream = "",
    ) -> EventPage:
        """Return events in order; go on after `next`."""
        records, position = await services.feed.page(after or 0, limit, type_prefix, stream)
        return EventPage(data=[event_shape(record) for record in records], next=position)

    @get("/stream")
    async def stream_events(
        self,
        request: AnyRequest,
        services: Injected,
        after: After = None,
        type_prefix: TypePrefix = "",
        stream: Stream = "",
    ) -> ServerSentEvent:
        """Stream events as they are committed; resumes after `Last-Event-ID`, else `after`, else now."""
        resumed = _position(request.headers.get("last-event-id", ""))
        start = after if resumed is None else resumed
        position = services.head().position if start is None else start
        return ServerSentEvent(_messages(services.feed.stream(position, type_prefix, stream)))


def _position(last_event_id: str) -> int | None:
    """Return the position a client saw last; None for an id that is none of ours. Raises `Invalid`."""
    if not (last_event_id.isascii() and last_event_id.isdecimal()):
        return None
    if len(last_event_id) > len(str(POSITION_LIMIT)) or int(last_event_id) > POSITION_LIMIT:
        raise Invalid("Last-Event-ID is no position of a journal")
    return int(last_event_id)


async def _messages(records: AsyncIterator[Record | None]) -> AsyncIterator[ServerSentEventMessage]:
    async for record in records:
        if record is None:
            yield ServerSentEventMessage(comment="nothing new")
        else:
            data = msgspec.json.encode(event_shape(record)).decode()
            yield ServerSentEventMessage(id=record.position, event=record.type, data=data)
