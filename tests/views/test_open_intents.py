"""An effect that was decided is open until its outcome is recorded, one per stream, named by where it was decided."""

import msgspec
import pytest

from ploinky.domain import events as e
from ploinky.views.intents import Intent, IntentKind
from tests.views.histories import RELEASE, History


def opened(history: History, kind: str, subject_id: str) -> Intent | None:
    return history.views.intents.by_stream.get((kind, subject_id))


def test_a_rollout_opens_one_effect_after_the_other() -> None:
    """Fetching the source, then making the image ready, each named by the position that opened it; then none."""
    history = History()
    history.deploy("d1")
    assert opened(history, "deployment", "d1") == Intent(IntentKind.FETCH_SOURCE, "d1", 1, 2)
    history.add("deployment/d1", e.SourceFetched(generation=1, release=RELEASE))
    assert opened(history, "deployment", "d1") == Intent(IntentKind.READY_IMAGE, "d1", 1, 3)
    history.add("deployment/d1", e.ImageReady(generation=1, runtime="memory"))
    assert opened(history, "deployment", "d1") is None


def test_a_release_with_dependencies_opens_one_effect_more() -> None:
    """Installing comes between the image and the start, and is left out where nothing is to be installed."""
    history = History()
    history.deploy("d1")
    needy = msgspec.structs.replace(RELEASE, dependencies="needs")
    history.add("deployment/d1", e.SourceFetched(generation=1, release=needy))
    position = history.add("deployment/d1", e.ImageReady(generation=1, runtime="memory"))
    assert opened(history, "deployment", "d1") == Intent(IntentKind.INSTALL_DEPENDENCIES, "d1", 1, position)
    history.add("deployment/d1", e.DependenciesReady(generation=1, digest="f1"))
    assert opened(history, "deployment", "d1") is None


def test_a_release_that_is_started_again_needs_no_source() -> None:
    """A rollout of an earlier release begins with its image."""
    history = History()
    history.serve()
    position = history.add("deployment/d1", e.RolloutRequested(generation=2, reason="restart", release=RELEASE))
    assert opened(history, "deployment", "d1") == Intent(IntentKind.READY_IMAGE, "d1", 2, position)


def test_a_superseding_rollout_is_another_effect() -> None:
    """The same kind of effect for the next generation has a number of its own."""
    history = History()
    history.deploy("d1")
    failed = e.RolloutFailed(generation=1, step="source", code="SUPERSEDED", message="no")
    history.add("deployment/d1", failed)
    assert opened(history, "deployment", "d1") is None
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="update"))
    assert opened(history, "deployment", "d1") == Intent(IntentKind.FETCH_SOURCE, "d1", 2, 4)


def test_news_that_change_nothing_keep_the_effect() -> None:
    """An event that is no outcome leaves the effect open under its number."""
    history = History()
    instance = history.create("d1")
    history.add(f"instance/{instance}", e.InstanceUnobservable(reason="away"))
    history.add(f"instance/{instance}", e.InstanceObservedAgain())
    assert opened(history, "instance", instance) == Intent(IntentKind.START_INSTANCE, instance, 1, 1)


def test_an_instance_is_started_stopped_and_removed() -> None:
    """Each step of an instance's life opens its effect, and its outcome closes it."""
    history = History()
    instance = history.create("d1")
    stream = f"instance/{instance}"
    seen = [opened(history, "instance", instance)]
    for event in (
        e.InstanceStarted(engine_id="e", queue_identity="q"),
        e.InstanceStopRequested(reason="replaced", grace_seconds=1.0),
        e.InstanceStopped(reason="requested"),
        e.InstanceRemoveRequested(),
        e.InstanceRemoved(),
    ):
        history.add(stream, event)
        seen.append(opened(history, "instance", instance))
    assert seen == [
        Intent(IntentKind.START_INSTANCE, instance, 1, 1),
        None,
        Intent(IntentKind.STOP_INSTANCE, instance, 1, 3),
        None,
        Intent(IntentKind.REMOVE_INSTANCE, instance, 1, 5),
        None,
    ]
    assert not history.views.intents.by_stream


def test_a_start_that_failed_is_not_tried_again() -> None:
    """A failed start closes the effect; the next one is to remove what is left."""
    history = History()
    instance = history.create("d1")
    history.add(f"instance/{instance}", e.InstanceStartFailed(code="X", message="no"))
    assert opened(history, "instance", instance) is None
    position = history.add(f"instance/{instance}", e.InstanceRemoveRequested())
    assert opened(history, "instance", instance) == Intent(IntentKind.REMOVE_INSTANCE, instance, 1, position)


def test_a_paused_instance_can_be_stopped() -> None:
    """Being frozen does not keep an instance from being asked to stop."""
    history = History()
    instance = history.serve()
    history.add(f"instance/{instance}", e.InstancePaused())
    position = history.add(f"instance/{instance}", e.InstanceStopRequested(reason="removed", grace_seconds=1.0))
    assert opened(history, "instance", instance) == Intent(IntentKind.STOP_INSTANCE, instance, 1, position)


def test_an_end_nobody_asked_for_opens_nothing() -> None:
    """An instance that ended by itself waits for a decision, not for an effect."""
    history = History()
    history.stop(history.serve())
    assert not history.views.intents.by_stream


@pytest.mark.parametrize("is_rolling_out", [False, True])
def test_folders_are_discarded_last(is_rolling_out: bool) -> None:
    """A removed deployment waits for its folders only when that was asked for."""
    history = History()
    history.deploy("d1")
    if not is_rolling_out:
        history.add("deployment/d1", e.RolloutFailed(generation=1, step="source", code="X", message="no"))
    history.add("deployment/d1", e.RemovalRequested())
    position = history.add("deployment/d1", e.DiscardRequested())
    assert opened(history, "deployment", "d1") == Intent(IntentKind.DISCARD_DEPLOYMENT, "d1", 0, position)
    history.add("deployment/d1", e.DeploymentRemoved())
    assert not history.views.intents.by_stream
