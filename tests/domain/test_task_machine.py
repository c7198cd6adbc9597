"""Random commands on deployments, instances and tasks: what has to be true after each of them."""

import copy
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.errors import PloinkyError
from ploinky.domain.ids import instance_id, split_stream, stream_name
from ploinky.domain.instance import Instance, Status
from ploinky.domain.routing import Route
from ploinky.domain.specs import Release
from ploinky.domain.task import ENDED, Task, TaskState
from tests.domain.samples import SPEC, payload, submit
from tests.domain.specification import WISHES_ANEW, World, events_of

DEPLOYMENTS_AT_MOST = 3
TASKS_AT_MOST = 12
ENDS = (e.TaskSucceeded, e.TaskFailed, e.TaskCancelled, e.TaskDead)
PLACES = st.integers(0, 99)
"""Picks one of what there is, whatever there is."""

WISHES: list[Callable[[str], c.Command]] = [
    lambda key: c.UpdateDeployment(subject_id=key, spec=SPEC),
    lambda key: c.RestartDeployment(subject_id=key),
    lambda key: c.StopDeployment(subject_id=key),
    lambda key: c.StartDeployment(subject_id=key),
    lambda key: c.Undeploy(subject_id=key),
    lambda key: c.RequestDiscard(subject_id=key),
    lambda key: c.RecordDiscarded(subject_id=key),
    lambda key: c.RestartNow(subject_id=key),
]
STEPS: list[Callable[[str, int, int], c.Command]] = [
    lambda key, number, slots: c.RecordSource(
        subject_id=key, generation=number, release=Release(commit="c", concurrency=slots), is_from_cache=False
    ),
    lambda key, number, _: c.RecordImage(subject_id=key, generation=number, runtime="memory", image="", digest=""),
    lambda key, number, _: c.Switch(subject_id=key, generation=number),
    lambda key, number, _: c.FailRollout(subject_id=key, generation=number, step="start", code="X", message="m"),
    lambda key, number, slots: c.ScheduleRestart(subject_id=key, generation=number, is_immediate=slots == 1),
]
OBSERVATIONS: list[Callable[[str], c.Command]] = [
    lambda key: c.RecordStarted(subject_id=key, engine_id="e", queue_identity="q"),
    lambda key: c.RecordReady(subject_id=key),
    lambda key: c.RecordReady(subject_id=key),
    lambda key: c.RecordPaused(subject_id=key),
    lambda key: c.RecordResumed(subject_id=key),
    lambda key: c.StopInstance(subject_id=key, reason="replaced", grace_seconds=1.0),
    lambda key: c.RecordStopped(subject_id=key, reason="exited"),
    lambda key: c.RemoveInstance(subject_id=key),
    lambda key: c.RecordRemoved(subject_id=key),
    lambda key: c.RecordStartFailed(subject_id=key, code="X", message="m"),
    lambda key: c.RecordUnobservable(subject_id=key, reason="x"),
    lambda key: c.ReportOrphan(subject_id=key, runtime="memory", name="n"),
]
TASK_COMMANDS: list[Callable[[str, int], c.Command]] = [
    lambda key, _: c.StartAttempt(subject_id=key),
    lambda key, number: c.RecordClaimed(subject_id=key, attempt=number),
    lambda key, number: c.RecordSucceeded(subject_id=key, attempt=number, result=payload()),
    lambda key, number: c.RecordFailed(subject_id=key, attempt=number, code="X", message="m"),
    lambda key, number: c.RecordFailed(subject_id=key, attempt=number, code="WORKER_DIED", message="m"),
    lambda key, number: c.RecordFailed(subject_id=key, attempt=number, code="CANCELLED", message="m"),
    lambda key, number: c.ExpireAttempt(subject_id=key, attempt=number, reason="instance_gone"),
    lambda key, number: c.RecordQuarantined(subject_id=key, attempt=number, reason="x"),
    lambda key, _: c.CancelTask(subject_id=key),
    lambda key, _: c.AbandonTask(subject_id=key, reason="x"),
]


class Machine(RuleBasedStateMachine):
    """One world that everybody asks for everything, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.minted = 0
        self.submitted = 0

    def give(self, command: c.Command) -> None:
        """Decide and record; hold that deciding changes nothing and that a repetition decides nothing."""
        before = snapshot(self.world)
        try:
            decision = self.world.decide(command)
        except PloinkyError:
            assert snapshot(self.world) == before
            return
        assert self.world.decide(command) == decision
        assert snapshot(self.world) == before
        for event in events_of(decision):
            self.world.record(stream_name(command.KIND, command.subject_id), event)
        if not isinstance(command, WISHES_ANEW):
            with suppress(PloinkyError):
                assert not events_of(self.world.decide(command)), command

    def pick(self, kind: str, place: int) -> str:
        subjects = [split_stream(stream)[1] for stream in self.world.states if stream.startswith(f"{kind}/")]
        return subjects[place % len(subjects)] if subjects else "unknown"

    def deployment(self, key: str) -> Deployment:
        state: Deployment = self.world.state(f"deployment/{key}")
        return state

    @initialize(slots=st.integers(1, 3))
    def serve(self, slots: int) -> None:
        self.deploy("/a")
        self.roll_out(0, slots, is_switched=True)

    @precondition(lambda self: self.minted < DEPLOYMENTS_AT_MOST)
    @rule(path=st.sampled_from(["/a", "/b"]))
    def deploy(self, path: str) -> None:
        self.minted += 1
        self.give(c.Deploy(subject_id=f"d{self.minted}", domain="localhost", path=path, spec=SPEC))

    @rule(place=PLACES, wish=st.sampled_from(WISHES))
    def wish(self, place: int, wish: Callable[[str], c.Command]) -> None:
        self.give(wish(self.pick("deployment", place)))

    @rule(place=PLACES, step=st.sampled_from(STEPS), back=st.integers(0, 1), slots=st.integers(1, 3))
    def step(self, place: int, step: Callable[[str, int, int], c.Command], back: int, slots: int) -> None:
        key = self.pick("deployment", place)
        self.give(step(key, self.deployment(key).last_generation - back, slots))

    @rule(place=PLACES, slots=st.integers(1, 3), is_switched=st.booleans())
    def roll_out(self, place: int, slots: int, *, is_switched: bool) -> None:
        """Take a rollout to its end, or to just before it, with two ready instances."""
        key = self.pick("deployment", place)
        number = self.deployment(key).last_generation
        for step in STEPS[:2]:
            self.give(step(key, number, slots))
        for replica in (0, 1):
            self.create(place, replica)
            for observation in OBSERVATIONS[:2]:
                self.give(observation(instance_id(key, number, replica)))
        if is_switched:
            self.give(c.Switch(subject_id=key, generation=number))

    @rule(place=PLACES, number=st.integers(0, 2))
    def create(self, place: int, number: int) -> None:
        key = self.pick("deployment", place)
        rollout = self.deployment(key).rollout
        if rollout is None or rollout.release is None:
            return
        self.give(
            c.CreateInstance(
                subject_id=instance_id(key, rollout.generation, number),
                deployment_id=key,
                generation=rollout.generation,
                number=number,
                runtime="memory",
                name="n",
                image="",
                release=rollout.release,
            )
        )

    @rule(place=PLACES, observation=st.sampled_from(OBSERVATIONS))
    def observe(self, place: int, observation: Callable[[str], c.Command]) -> None:
        self.give(observation(self.pick("instance", place)))

    @precondition(lambda self: self.submitted < TASKS_AT_MOST)
    @rule(place=PLACES, key=st.sampled_from([None, None, None, "k1", "k2"]), digest=st.sampled_from(["r1", "r2"]))
    def submit(self, place: int, key: str | None, digest: str) -> None:
        self.submitted += 1
        deployment_id = self.pick("deployment", place)
        self.give(submit(f"t{self.submitted}", deployment_id=deployment_id, idempotency=key, request_digest=digest))

    @rule(place=PLACES, command=st.sampled_from(TASK_COMMANDS), back=st.sampled_from([0, 0, 0, 1, -1]))
    def work(self, place: int, command: Callable[[str, int], c.Command], back: int) -> None:
        key = self.pick("task", place)
        self.give(command(key, self.world.state(f"task/{key}").attempt - back))

    @rule(seconds=st.sampled_from([0, 1, 70, 400, 100_000]))
    def wait(self, seconds: int) -> None:
        self.world.indexes.now += timedelta(seconds=seconds)

    @invariant()
    def tasks_end_at_most_once(self) -> None:
        ends = Counter(stream for stream, event in self.world.history if isinstance(event, ENDS))
        ended = {
            stream for stream, state in self.world.states.items() if isinstance(state, Task) and state.state in ENDED
        }
        assert set(ends) == ended
        assert not [stream for stream, count in ends.items() if count > 1]

    @invariant()
    def slots_are_counted(self) -> None:
        holders = {key: task.instance_id for key, task in tasks(self.world, TaskState.RUNNING).items()}
        assert self.world.indexes.attempt_instances == holders
        assert self.world.indexes.running == Counter(holders.values())
        for key, count in self.world.indexes.running.items():
            state: Instance = self.world.state(f"instance/{key}")
            assert state.release is None or count <= state.release.concurrency

    @invariant()
    def those_who_wait_are_counted(self) -> None:
        waiting = {key: task.deployment_id for key, task in tasks(self.world, TaskState.SUBMITTED).items()}
        assert self.world.indexes.waiting_deployments == waiting
        counts = Counter(waiting.values())
        assert all(entry.waiting == counts[key] for key, entry in self.world.indexes.deployments.items())

    @invariant()
    def routes_have_one_owner(self) -> None:
        owned = [
            (Route(state.domain, state.path), split_stream(stream)[1])
            for stream, state in self.world.states.items()
            if isinstance(state, Deployment) and state.desired in {Desired.RUNNING, Desired.STOPPED}
        ]
        assert sorted(self.world.indexes.routes.items()) == sorted(owned)

    @invariant()
    def indexes_know_the_deployments(self) -> None:
        for key, entry in self.world.indexes.deployments.items():
            state = self.deployment(key)
            assert entry.is_wanted == (state.desired is Desired.RUNNING)
            assert (entry.active_generation, entry.release) == (state.active_generation, state.active_release)
            assert entry.rollout == (state.rollout.generation if state.rollout else 0)
            assert entry.last_generation == state.last_generation
            assert entry.ready == ready_instances(self.world, key)

    @invariant()
    def indexes_know_the_instances(self) -> None:
        known = {
            split_stream(stream)[1]: state.deployment_id
            for stream, state in self.world.states.items()
            if isinstance(state, Instance) and state.deployment_id and state.status is not Status.REMOVED
        }
        assert self.world.indexes.instances == known

    @invariant()
    def generations_move_forward(self) -> None:
        newest: dict[str, int] = {}
        for stream, event in self.world.history:
            if isinstance(event, e.RolloutRequested):
                assert event.generation == newest.get(stream, 0) + 1
                newest[stream] = event.generation

    def teardown(self) -> None:
        """Fold the whole history anew: the same states and the same indexes come out."""
        timed = zip(self.world.moments, self.world.history, strict=True)
        again = World([item for pair in timed for item in pair])
        assert again.states == self.world.states
        assert snapshot(again) == snapshot(self.world)


def tasks(world: World, state: TaskState) -> dict[str, Task]:
    return {
        split_stream(stream)[1]: task
        for stream, task in world.states.items()
        if isinstance(task, Task) and task.state is state
    }


def ready_instances(world: World, deployment_id: str) -> dict[str, int]:
    return {
        split_stream(stream)[1]: state.generation
        for stream, state in world.states.items()
        if isinstance(state, Instance)
        and (state.deployment_id, state.status) == (deployment_id, Status.RUNNING)
        and state.is_ready
        and not state.is_stop_requested
    }


def snapshot(world: World) -> dict[str, object]:
    """Copy what the indexes hold, but for the time."""
    held = copy.copy(vars(world.indexes))
    del held["now"]
    held["deployments"] = {
        key: {name: copy.copy(getattr(entry, name)) for name in entry.__slots__}
        for key, entry in world.indexes.deployments.items()
    }
    return {name: copy.copy(value) for name, value in held.items()}


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=40)
