"""Open intents: the effects that were decided and have no outcome yet, derived from the aggregates' states.

A stream has at most one, so effects of one stream run one at a time. After a crash the same list comes out of the same
events.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from ploinky.domain.deployment import Deployment, Step
from ploinky.domain.ids import split_stream
from ploinky.domain.instance import LIVE, Instance, Status


class IntentKind(StrEnum):
    """What has to be done."""

    FETCH_SOURCE = "fetch_source"
    READY_IMAGE = "ready_image"
    INSTALL_DEPENDENCIES = "install_dependencies"
    START_INSTANCE = "start_instance"
    PAUSE_INSTANCE = "pause_instance"
    RESUME_INSTANCE = "resume_instance"
    STOP_INSTANCE = "stop_instance"
    REMOVE_INSTANCE = "remove_instance"
    DISCARD_DEPLOYMENT = "discard_deployment"


class Intent(NamedTuple):
    """One effect to bring about."""

    kind: IntentKind
    subject_id: str
    generation: int
    operation: int
    """The position of the event that opened it; identifies the operation on labels and in logs."""


_ROLLOUT_KINDS = {
    Step.SOURCE: IntentKind.FETCH_SOURCE,
    Step.IMAGE: IntentKind.READY_IMAGE,
    Step.INSTALL: IntentKind.INSTALL_DEPENDENCIES,
}


def deployment_intent(state: Deployment) -> tuple[IntentKind, int] | None:
    """Return what a deployment waits for, with the generation it is for."""
    if state.is_gone:
        return None
    if state.is_discarding:
        return IntentKind.DISCARD_DEPLOYMENT, 0
    kind = _ROLLOUT_KINDS.get(state.rollout.step) if state.rollout else None
    return (kind, state.rollout.generation) if state.rollout and kind else None


def instance_intent(state: Instance) -> tuple[IntentKind, int] | None:
    """Return what an instance waits for."""
    if state.status is Status.REMOVED:
        return None
    if state.is_remove_requested:
        return IntentKind.REMOVE_INSTANCE, state.generation
    if state.status is Status.CREATED and not state.failure:
        return IntentKind.START_INSTANCE, state.generation
    if state.is_stop_requested and state.status in LIVE:
        return IntentKind.STOP_INSTANCE, state.generation
    if state.is_pause_requested and state.status is Status.RUNNING:
        return IntentKind.PAUSE_INSTANCE, state.generation
    if state.is_resume_requested and state.status is Status.PAUSED:
        return IntentKind.RESUME_INSTANCE, state.generation
    return None


class OpenIntents:
    """All open intents by stream."""

    def __init__(self) -> None:
        """Start empty."""
        self.by_stream: dict[tuple[str, str], Intent] = {}

    def place(self, kind: str, subject_id: str, found: tuple[IntentKind, int] | None, position: int) -> None:
        """Take in what a stream waits for after the event at `position`."""
        key = (kind, subject_id)
        if found is None:
            self.by_stream.pop(key, None)
            return
        known = self.by_stream.get(key)
        if known is None or (known.kind, known.generation) != found:
            self.by_stream[key] = Intent(found[0], subject_id, found[1], position)

    def load(self, raw: msgspec.Raw) -> None:
        """Take a snapshot's intents: the positions that opened them are not in the aggregates' states."""
        kept = msgspec.json.decode(raw, type=dict[str, Intent])
        self.by_stream = {split_stream(stream): intent for stream, intent in kept.items()}
