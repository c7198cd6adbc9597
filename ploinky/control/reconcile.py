"""Compare what the journal says of instances with what the engines show: pure, so that every case is a test."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.ports.runtime import LABEL_INSTANCE, Observation, ObservedState


class ActionKind(StrEnum):
    """What a difference asks for."""

    ADOPT = "adopt"
    """It runs as expected: open its queue if that is not open yet."""
    ENDED = "ended"
    """It has exited, or is gone: take in what it left, then record the end."""
    PAUSED = "paused"
    RESUMED = "resumed"
    UNOBSERVABLE = "unobservable"
    """Its engine did not answer."""
    OBSERVED_AGAIN = "observed_again"
    ORPHAN = "orphan"
    """Nobody knows it."""


class Action(NamedTuple):
    """One difference and what to do."""

    kind: ActionKind
    instance_id: str
    seen: Observation | None = None
    runtime: str = ""


def reconcile(
    instances: Mapping[str, Instance], observed: Mapping[str, Mapping[str, Observation]], silent: Collection[str]
) -> list[Action]:
    """Return what to do about each instance.

    `observed` maps a runtime's kind to what it lists, by name; `silent` holds the kinds that could not be asked.
    Instances that are being started or removed are left to their open intents.
    """
    actions: list[Action] = []
    known = {(instance.runtime, instance.name) for instance in instances.values()}
    for instance_id, instance in instances.items():
        if instance.status not in LIVE:
            continue
        if instance.runtime in silent or instance.runtime not in observed:
            if not instance.is_unobservable:
                actions.append(Action(ActionKind.UNOBSERVABLE, instance_id))
            continue
        if instance.is_unobservable:
            actions.append(Action(ActionKind.OBSERVED_AGAIN, instance_id))
        actions.append(_compare(instance_id, instance, observed[instance.runtime].get(instance.name)))
    for runtime, listed in observed.items():
        for name, seen in listed.items():
            if (runtime, name) not in known:
                orphan_id = seen.labels.get(LABEL_INSTANCE) or f"orphan-{name}"
                actions.append(Action(ActionKind.ORPHAN, orphan_id, seen, runtime))
    return actions


def _compare(instance_id: str, instance: Instance, seen: Observation | None) -> Action:
    if seen is None or seen.state is ObservedState.EXITED:
        return Action(ActionKind.ENDED, instance_id, seen)
    if seen.state is ObservedState.PAUSED and instance.status is Status.RUNNING:
        return Action(ActionKind.PAUSED, instance_id, seen)
    if seen.state is ObservedState.RUNNING and instance.status is Status.PAUSED:
        return Action(ActionKind.RESUMED, instance_id, seen)
    return Action(ActionKind.ADOPT, instance_id, seen)
