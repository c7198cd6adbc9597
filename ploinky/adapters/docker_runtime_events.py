"""The engine's stream of events, read as hints."""

from collections.abc import Iterator
from typing import Any

from ploinky.adapters.docker_runtime_client import Connections
from ploinky.adapters.docker_runtime_errors import translated
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL


def hints(connections: Connections, journal_id: str) -> Iterator[str]:
    """Yield the names of this journal's containers as things happen to them, until the connections are closed.

    An engine that hangs without closing its socket is not noticed here: the periodic relist is for that.

    **Raises** `RuntimeUnavailable` when the stream ends by itself.
    """
    if connections.is_closed():
        return
    client = connections.separate()
    try:
        with translated("watch the container engine"):
            stream = client.events(filters={"type": "container", "label": f"{LABEL_JOURNAL}={journal_id}"}, decode=True)
        connections.add_stream(stream)
        try:
            yield from _names(connections, stream, journal_id)
        finally:
            connections.remove_stream(stream)
            stream.close()
    finally:
        client.close()


def _names(connections: Connections, stream: Any, journal_id: str) -> Iterator[str]:
    while not connections.is_closed():
        try:
            event = next(stream, None)
        except Exception as error:
            if connections.is_closed():
                return
            raise RuntimeUnavailable("the container engine's events are not readable") from error
        if event is None:
            if connections.is_closed():
                return
            raise RuntimeUnavailable("the container engine ended its stream of events")
        name = _name_in(event, journal_id)
        if name is not None:
            yield name


def _name_in(event: object, journal_id: str) -> str | None:
    """Find the container's name in an event; None when it is not about one of this journal."""
    actor = event.get("Actor") if isinstance(event, dict) else None
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    if not isinstance(attributes, dict) or attributes.get(LABEL_JOURNAL) != journal_id:
        return None
    name = attributes.get("name")
    return name if isinstance(name, str) else None
