"""What runs with this journal's label and without its knowledge is ended, but not in haste."""

from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.policies.reaction import look
from ploinky.policies.serving import STOP_GRACE_SECONDS
from ploinky.views.due_times import ORPHAN_GRACE
from tests.views.histories import History


def orphaned(instance: str) -> History:
    history = History()
    history.add(f"instance/{instance}", e.OrphanFound(runtime="memory", name="stray"))
    return history


def follows(history: History, instance: str, after: timedelta = timedelta(0)) -> list[c.Command]:
    return look(("instance", instance), history.views, history.now + after)


@pytest.mark.parametrize("instance", ["stray", "gone.1.0"])
def test_an_orphan_has_a_grace(instance: str) -> None:
    """Somebody may just be looking at it: only after a while it is asked to stop."""
    history = orphaned(instance)
    assert follows(history, instance, ORPHAN_GRACE - timedelta(seconds=0.1)) == []
    expected = c.StopInstance(subject_id=instance, reason="orphan", grace_seconds=STOP_GRACE_SECONDS)
    assert follows(history, instance, ORPHAN_GRACE) == [expected]


def test_an_orphan_is_removed_after_its_end() -> None:
    """Asked to stop: wait. Ended: remove, without a grace. Being removed: wait."""
    history = orphaned("stray")
    history.add("instance/stray", e.InstanceStopRequested(reason="orphan", grace_seconds=1))
    assert follows(history, "stray", ORPHAN_GRACE) == []
    history.stop("stray", "requested")
    assert follows(history, "stray") == [c.RemoveInstance(subject_id="stray")]
    history.add("instance/stray", e.InstanceRemoveRequested())
    assert follows(history, "stray") == []
    history.add("instance/stray", e.InstanceRemoved())
    assert follows(history, "stray") == []


def test_an_orphan_under_the_name_of_a_deployment_is_none_of_it() -> None:
    """What bears the name of an instance long removed is ended as an orphan; the deployment goes on."""
    history = History()
    history.serve()
    history.add("instance/d1.9.0", e.OrphanFound(runtime="memory", name="stray"))
    expected = c.StopInstance(subject_id="d1.9.0", reason="orphan", grace_seconds=STOP_GRACE_SECONDS)
    assert follows(history, "d1.9.0", ORPHAN_GRACE) == [expected]
    assert look(("deployment", "d1"), history.views, history.now + ORPHAN_GRACE) == []


def test_an_instance_of_a_deployment_is_no_orphan() -> None:
    """What a deployment knows is its own business."""
    history = History()
    instance = history.serve()
    assert follows(history, instance, ORPHAN_GRACE * 10) == []
