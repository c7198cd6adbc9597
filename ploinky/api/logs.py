"""`/management/api/deployments/{id}/logs`: what instances print."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from ploinky.api.services import Injected
from ploinky.ports.runtime import FOLLOW_TAIL_LIMIT_LINES
from ploinky.usecases.log_feed import Piece, Wish

NUMBER_LIMIT = 999_999_999


class LogRoutes(Controller):
    """What instances print."""

    path = "/management/api/deployments/{deployment_id:str}/logs"
    tags = ("deployments",)

    @get()
    async def logs(
        self,
        services: Injected,
        deployment_id: str,
        *,
        tail: Annotated[int | None, QueryParameter(name="tail", ge=0, le=FOLLOW_TAIL_LIMIT_LINES)] = None,
        follow: Annotated[bool, QueryParameter(name="follow", description="As server-sent events.")] = False,
        generation: Annotated[int | None, QueryParameter(name="generation", ge=1, le=NUMBER_LIMIT)] = None,
        instance: Annotated[int | None, QueryParameter(name="instance", ge=0, le=NUMBER_LIMIT)] = None,
    ) -> Response[Any]:
        """Return the newest lines of an instance as text, or stream its output and that of its successors."""
        wish = Wish(generation, instance)
        lines = int(services.setting("lastLogsLines")) if tail is None else tail
        if follow:
            return ServerSentEvent(_messages(services.log_feed.follow(deployment_id, wish, lines)))
        content = await services.log_feed.newest(deployment_id, wish, lines)
        return Response(content, media_type="text/plain; charset=utf-8")


async def _messages(pieces: AsyncIterator[Piece]) -> AsyncIterator[ServerSentEventMessage]:
    async for piece in pieces:
        if piece.lines:
            yield _message("lines", {"instance": piece.instance_id, "lines": piece.lines})
        elif piece.remark:
            yield _message("remark", {"instance": piece.instance_id, "remark": piece.remark})
        else:
            yield ServerSentEventMessage(comment="nothing new")


def _message(event: str, document: dict[str, Any]) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=event, data=msgspec.json.encode(document).decode())
