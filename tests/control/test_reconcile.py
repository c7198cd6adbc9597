"""What the engines show, compared with what the journal says: each case asks for one thing."""

import pytest

from ploinky.control.reconcile import Action, ActionKind, reconcile
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.ports.runtime import LABEL_INSTANCE, Observation, ObservedState

ID, NAME = "d1.1.0", "ploinky-d1-1-0"


def known(status: Status = Status.RUNNING, *, is_unobservable: bool = False) -> dict[str, Instance]:
    instance = Instance(
        status=status,
        deployment_id="d1",
        generation=1,
        runtime="memory",
        name=NAME,
        is_unobservable=is_unobservable,
    )
    return {ID: instance}


def look(state: ObservedState, name: str = NAME, labels: dict[str, str] | None = None) -> Observation:
    return Observation(name=name, engine_id="e1", state=state, labels=labels or {})


def listed(*seen: Observation) -> dict[str, dict[str, Observation]]:
    return {"memory": {one.name: one for one in seen}}


@pytest.mark.parametrize(
    ("status", "seen", "asks_for"),
    [
        (Status.RUNNING, ObservedState.RUNNING, ActionKind.ADOPT),
        (Status.RUNNING, ObservedState.UNKNOWN, ActionKind.ADOPT),
        (Status.RUNNING, ObservedState.EXITED, ActionKind.ENDED),
        (Status.RUNNING, ObservedState.PAUSED, ActionKind.PAUSED),
        (Status.PAUSED, ObservedState.RUNNING, ActionKind.RESUMED),
        (Status.PAUSED, ObservedState.PAUSED, ActionKind.ADOPT),
        (Status.PAUSED, ObservedState.EXITED, ActionKind.ENDED),
    ],
)
def test_compares_what_is_with_what_was(status: Status, seen: ObservedState, asks_for: ActionKind) -> None:
    """Each pair of a recorded status and an observed state asks for exactly one action."""
    observation = look(seen)
    assert reconcile(known(status), listed(observation), ()) == [Action(asks_for, ID, observation)]


@pytest.mark.parametrize("status", sorted(LIVE))
def test_what_is_not_listed_has_ended(status: Status) -> None:
    """An instance that a runtime which answered does not list is gone."""
    assert reconcile(known(status), {"memory": {}}, ()) == [Action(ActionKind.ENDED, ID)]


@pytest.mark.parametrize("status", sorted(set(Status) - set(LIVE)))
@pytest.mark.parametrize("observed", [listed(), listed(look(ObservedState.RUNNING)), {}])
def test_leaves_others_to_their_intents(status: Status, observed: dict[str, dict[str, Observation]]) -> None:
    """Instances that are being started, stopped or removed are not judged by a look."""
    assert reconcile(known(status), observed, ()) == []


@pytest.mark.parametrize(("observed", "silent"), [({}, {"memory"}), ({}, set()), (listed(), {"memory"})])
def test_silence_is_no_end(observed: dict[str, dict[str, Observation]], silent: set[str]) -> None:
    """Where the engine cannot be asked, or is not here, instances are unobservable and nothing more."""
    assert reconcile(known(), observed, silent) == [Action(ActionKind.UNOBSERVABLE, ID)]


def test_says_so_once() -> None:
    """An instance known to be unobservable is not reported again."""
    assert reconcile(known(is_unobservable=True), {}, {"memory"}) == []


@pytest.mark.parametrize(
    ("observed", "then"),
    [(listed(look(ObservedState.RUNNING)), ActionKind.ADOPT), (listed(), ActionKind.ENDED)],
)
def test_sees_again_before_it_judges(observed: dict[str, dict[str, Observation]], then: ActionKind) -> None:
    """When the engine answers again, that is recorded first, then what it shows."""
    kinds = [action.kind for action in reconcile(known(is_unobservable=True), observed, ())]
    assert kinds == [ActionKind.OBSERVED_AGAIN, then]


def test_reports_what_nobody_knows() -> None:
    """Something listed under our journal that no instance has is an orphan, named by its label if it has one."""
    stranger = look(ObservedState.RUNNING, "stranger")
    labelled = look(ObservedState.EXITED, "labelled", {LABEL_INSTANCE: "d9.1.0"})
    actions = reconcile({}, listed(stranger, labelled), ())
    assert actions == [
        Action(ActionKind.ORPHAN, "orphan-stranger", stranger, "memory"),
        Action(ActionKind.ORPHAN, "d9.1.0", labelled, "memory"),
    ]


def test_same_name_elsewhere_is_not_ours() -> None:
    """A name is known per runtime: the same one in another engine is an orphan there."""
    twin = look(ObservedState.RUNNING)
    actions = reconcile(known(), {**listed(look(ObservedState.RUNNING)), "docker": {NAME: twin}}, ())
    assert [action.kind for action in actions] == [ActionKind.ADOPT, ActionKind.ORPHAN]
    assert actions[1].runtime == "docker"


@pytest.mark.parametrize("status", sorted(Status))
def test_never_calls_its_own_an_orphan(status: Status) -> None:
    """Whatever the status of a recorded instance, its container has an owner."""
    actions = reconcile(known(status), listed(look(ObservedState.CREATED)), ())
    assert ActionKind.ORPHAN not in {action.kind for action in actions}
