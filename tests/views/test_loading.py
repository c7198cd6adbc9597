"""Views that are dumped and loaded are the same views, and go on the same way."""

import subprocess
import sys
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

from ploinky.domain.decider import Decider
from ploinky.domain.task import TASK
from ploinky.journal.codec import EVENT_TYPES, Recorded
from ploinky.policies.reaction import all_subjects, look
from ploinky.views import tasks as tasks_module
from ploinky.views import views as views_module
from ploinky.views.fold_digest import BEGINNING, fold_digest, golden_history
from ploinky.views.views import Views
from tests.journal.stepping import contents_of, dumped
from tests.views.histories import History

FAR = BEGINNING + timedelta(days=2)


def reloaded(views: Views, order: Literal["sorted"] | None = "sorted") -> Views:
    fresh = Views()
    fresh.load(msgspec.Raw(msgspec.json.encode(views.dump(), order=order)), views.position)
    return fresh


def folded(history: list[Recorded]) -> Views:
    views = Views()
    views.fold(history)
    return views


def derived(views: Views) -> dict[str, Any]:
    """Return what is not in a dump and has to come out of the rows."""
    waiting = {owner: sorted(tasks) for owner, tasks in views.tasks.waiting.items()}
    return {
        "routes": views.routes._by_host,
        "waiting": waiting,
        "running": {owner: sorted(tasks) for owner, tasks in views.tasks.running.items()},
        "by_deployment": {owner: list(keys) for owner, keys in views.by_deployment.items()},
        "recent": list(views.tasks.recent),
        "idempotency": list(views.tasks.idempotency),
        "intents": views.intents.by_stream,
        "due": views.due._known,
        "position": views.position,
        "indexes": contents_of(views.indexes()),
        "subjects": all_subjects(views),
        "looks": [look(subject, views, FAR) for subject in all_subjects(views)],
    }


@pytest.mark.parametrize("kept", range(0, len(golden_history()) + 1, 3))
@pytest.mark.parametrize("order", [None, "sorted"])
def test_everything_derived_is_restored(kept: int, order: Literal["sorted"] | None) -> None:
    """At any point of a history with every type of event, loaded views say, order and all, what the folded ones say."""
    views = folded(golden_history()[:kept])
    assert derived(reloaded(views, order)) == derived(views)
    assert dumped(reloaded(views)) == dumped(views)


@pytest.mark.parametrize("kept", range(0, len(golden_history()) + 1, 3))
def test_loaded_views_go_on_like_folded_ones(kept: int) -> None:
    """A dump at any point and the rest of the history are the whole history."""
    views = reloaded(folded(golden_history()[:kept]))
    views.fold(golden_history()[kept:])
    assert dumped(views) == dumped(folded(golden_history()))


def test_what_is_oldest_is_known_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of ends, keys and instances is restored, also where it is not the order of their names."""
    monkeypatch.setattr(tasks_module, "RECENT_LIMIT_TASKS", 2)
    monkeypatch.setattr(tasks_module, "IDEMPOTENCY_LIMIT_KEYS", 2)
    history = History()
    history.create("d1", 9)
    history.create("d1", 10)
    for name in ("z", "a"):
        history.submit(f"t-{name}", key=f"k-{name}")
        history.attempt(f"t-{name}")
    for name in ("z", "a"):
        history.succeed(f"t-{name}")
    history.views = reloaded(history.views)
    assert [key for key, _ in history.views.instances_of("d1")] == ["d1.9.0", "d1.10.0"]
    history.submit("t-m", key="k-m")
    history.attempt("t-m")
    history.succeed("t-m")
    assert list(history.views.tasks.recent) == ["t-a", "t-m"]
    assert list(history.views.tasks.idempotency) == ["k-a", "k-m"]


def test_an_open_effect_keeps_its_number() -> None:
    """An effect is known by where it was opened, also after later events of its stream and a restart."""
    history = History()
    instance = history.create("d1")
    history.deploy("d1")
    assert reloaded(history.views).intents.by_stream["instance", instance].operation == 1


def test_the_golden_history_has_every_type_of_event() -> None:
    """A fold that nobody feeds cannot be noticed when it changes."""
    assert {recorded.event.TYPE for recorded in golden_history()} == set(EVENT_TYPES)


def test_the_fold_digest_is_the_same_in_another_process() -> None:
    """The digest depends on the folds only: not on hash seeds, time or memory."""
    code = "from ploinky.views.fold_digest import fold_digest; print(fold_digest())"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    assert output.strip() == fold_digest() == fold_digest()


CHANGE_NOTHING = {"instance.exec_requested"}
"""Types of events that are only told: no state has them."""


def altered(decider: Decider, type: str) -> Decider:
    """Return a decider that forgets what one type of event means."""

    def evolve(state: Any, event: Any) -> Any:
        return state if type == event.TYPE else decider.evolve(state, event)

    return decider._replace(evolve=evolve)


@pytest.mark.parametrize("type", sorted(set(EVENT_TYPES) - CHANGE_NOTHING))
def test_the_fold_digest_changes_with_any_fold(monkeypatch: pytest.MonkeyPatch, type: str) -> None:
    """When any one type of event is folded in another way, snapshots of before are not trusted any more."""
    before = fold_digest()
    for name in ("DEPLOYMENT", "INSTANCE", "REPOSITORY", "REGISTRY", "ACCESS", "SETTINGS_DECIDER"):
        monkeypatch.setattr(views_module, name, altered(getattr(views_module, name), type))
    monkeypatch.setattr(tasks_module, "evolve", altered(TASK, type).evolve)
    assert fold_digest() != before


def test_the_fold_digest_changes_with_the_shape_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of what a dump holds changes the digest as well."""
    before = fold_digest()
    monkeypatch.setattr(Views, "dump", lambda _: {"deployments": {}})
    assert fold_digest() != before
