"""`/management/api/events`: the journal in pages, and live."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import Parameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from ploinky.api.schemas import EventPage
from ploinky.api.services import AnyRequest, Injected, Services
from ploinky.api.shapes import event_shape

PAGE_LIMIT_EVENTS = 1_000

After = Annotated[int | None, Parameter(query="after", ge=0, description="Events above this position.")]
TypePrefix = Annotated[str, Parameter(query="type", description="Types that begin with this.", max_length=100)]
Stream = Annotated[str, Parameter(query="stream", description="One stream, as `task/<id>`.", max_length=200)]


class EventRoutes(Controller):
    """What happened."""

    path = "/management/api/events"
    tags = ("events",)

    @get()
    async def list_events(
        self,
        services: Injected,
        after: After = None,
        limit: Annotated[int, Parameter(query="limit", ge=1, le=PAGE_LIMIT_EVENTS)] = 100,
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
        resumed = request.headers.get("last-event-id", "")
        start = int(resumed) if resumed.isdecimal() else after
        position = services.head().position if start is None else start
        return ServerSentEvent(_messages(services, position, type_prefix, stream))


async def _messages(
    services: Services, after: int, type_prefix: str, stream: str
) -> AsyncIterator[ServerSentEventMessage]:
    async for record in services.feed.stream(after, type_prefix, stream):
        if record is None:
            yield ServerSentEventMessage(comment="nothing new")
        else:
            data = msgspec.json.encode(event_shape(record)).decode()
            yield ServerSentEventMessage(id=record.position, event=record.type, data=data)
