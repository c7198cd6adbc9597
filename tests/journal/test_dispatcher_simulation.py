"""Any commands in any order over any delays and full disks: what is acknowledged is durable, and all views agree."""

from random import Random

import msgspec
import pytest

from ploinky.adapters.memory.journal import AppendFault, MemoryJournalStore
from ploinky.domain import commands as c
from ploinky.domain.deployment import Rollout, Step
from ploinky.domain.errors import JournalFull, PloinkyError
from ploinky.domain.ids import instance_id
from ploinky.domain.instance import Status
from ploinky.domain.task import ENDED
from ploinky.journal.dispatcher import Answer
from tests.journal import sample_commands as sample
from tests.journal.stepping import ANYBODY, Heard, Stepping, contents_of, dumped, rebuilt

SEEDS = range(20)
ACTIONS = 1_600
DEPLOYMENTS = ("d1", "d2", "d3")
FULL_SHARE = 0.05


class Watched(Heard):
    """Checks at the moment of the answer that it is true."""

    def __init__(self, command: c.Command, store: MemoryJournalStore) -> None:
        super().__init__(command)
        self.store = store

    def __call__(self, answer: Answer | PloinkyError) -> None:
        super().__call__(answer)
        assert len(self.answers) == 1, "heard twice"
        if isinstance(answer, Answer) and answer.position:
            record = self.store.contents.records[answer.position - 1]
            assert record.stream == f"{self.command.KIND}/{answer.subject_id}"


class Simulation:
    """Random commands, turns, commits and clock jumps, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        faults = [AppendFault(n, JournalFull()) for n in range(1, 10_000) if self.random.random() < FULL_SHARE]
        self.steps = Stepping(faults=faults)
        self.heard: list[Watched] = []
        self.task_count = 0

    def act(self) -> None:
        chance = self.random.random()
        if chance < 0.6:
            heard = Watched(self.command(), self.steps.store)
            self.heard.append(heard)
            is_urgent = self.random.random() < 0.5
            self.steps.dispatcher.submit(heard.command, ANYBODY, heard, is_urgent=is_urgent)
        elif chance < 0.75:
            self.steps.turn()
        elif chance < 0.9:
            if self.steps.writer.step():
                self.check_views()
        elif chance < 0.98:
            self.steps.clock.advance(self.random.expovariate(0.5))
        else:
            self.steps.clock.step(self.random.uniform(-60, 60))

    def command(self) -> c.Command:
        kind = self.random.choices(("next", "end", "deployment", "instance", "task", "rest"), (6, 3, 1, 2, 10, 1))[0]
        deployment_id = self.random.choice(DEPLOYMENTS)
        if kind == "next":
            return self.next_step(deployment_id)
        if kind == "end":
            return self.next_end(deployment_id)
        entry = self.steps.dispatcher.indexes.deployments.get(deployment_id)
        generation = (entry.rollout or entry.active_generation or 1) if entry else 1
        if self.random.random() < 0.1:
            generation += 1
        match kind:
            case "deployment":
                return self.deployment_command(deployment_id, generation)
            case "instance":
                return self.instance_command(deployment_id, generation)
            case "task":
                return self.task_command(self.random.choice(DEPLOYMENTS[:2]))
            case _:
                return self.rest()

    def next_step(self, deployment_id: str) -> c.Command:
        """Return what brings a deployment on, as far as the views know."""
        state = self.steps.views.deployments.get(deployment_id)
        if state is None:
            return sample.deploy(deployment_id, self.random.choice(("/a", "/b", "/c")))
        if state.rollout is not None:
            return self.next_of_rollout(deployment_id, state.rollout)
        if state.restart_due_at is not None:
            self.steps.clock.advance(300.0)
            return c.RestartNow(subject_id=deployment_id)
        return c.StartDeployment(subject_id=deployment_id)

    def next_of_rollout(self, deployment_id: str, rollout: Rollout) -> c.Command:
        """Return what brings a rollout on."""
        generation = rollout.generation
        source, image, *_ = sample.roll_out(deployment_id, generation)
        match rollout.step:
            case Step.SOURCE:
                release = msgspec.structs.replace(
                    sample.release(),
                    dependencies=self.random.choice(("", "needs")),
                    revert_window_seconds=self.random.choice((0.0, 5.0)),
                    warm_instances=self.random.choice((0, 1)),
                )
                return msgspec.structs.replace(source, release=release)
            case Step.IMAGE:
                return image
            case Step.INSTALL:
                return c.RecordDependencies(
                    subject_id=deployment_id, generation=generation, digest="f1", is_cached=True, seconds=0.0
                )
            case Step.START:
                return self.next_of_start(deployment_id, generation)
            case Step.VERIFY if self.random.random() < 0.5:
                return c.ConfirmRollout(subject_id=deployment_id, generation=generation)
            case _:
                return c.FailRollout(
                    subject_id=deployment_id, generation=generation, step="verify", code="X", message="no"
                )

    def next_of_start(self, deployment_id: str, generation: int) -> c.Command:
        """Return what brings an instance on that is being started."""
        _, _, create, started, ready, switch = sample.roll_out(deployment_id, generation)
        instance = self.steps.views.instances.get(instance_id(deployment_id, generation, 0))
        if instance is None:
            return create
        if instance.status is Status.CREATED:
            failed = c.RecordStartFailed(subject_id=started.subject_id, code="X", message="no")
            return started if self.random.random() < 0.8 else failed
        return switch if instance.is_ready else ready

    def next_end(self, deployment_id: str) -> c.Command:
        """Return what brings the end of an instance or a deployment on, as far as the views know."""
        for key, row in self.steps.views.instances.items():
            if row.state.is_remove_requested:
                return c.RecordRemoved(subject_id=key)
            if row.state.status is Status.STOPPED or row.state.failure:
                return c.RemoveInstance(subject_id=key)
            if row.state.is_stop_requested:
                return c.RecordStopped(subject_id=key, reason="requested")
        state = self.steps.views.deployments.get(deployment_id)
        if state is not None and state.is_discarding:
            return c.RecordDiscarded(subject_id=deployment_id)
        return c.RequestDiscard(subject_id=deployment_id)

    def deployment_command(self, deployment_id: str, generation: int) -> c.Command:
        outcomes = sample.roll_out(deployment_id, generation)
        failed = c.FailRollout(subject_id=deployment_id, generation=generation, step="start", code="X", message="no")
        likely: list[c.Command] = [
            *(outcomes[0], outcomes[1], outcomes[5]),
            c.StartDeployment(subject_id=deployment_id),
            c.RestartDeployment(subject_id=deployment_id),
            c.UpdateDeployment(subject_id=deployment_id, spec=sample.SPEC, environment=sample.payload()),
            c.ScheduleRestart(subject_id=deployment_id, generation=generation, is_immediate=False),
            c.RestartNow(subject_id=deployment_id),
            c.ConfirmRollout(subject_id=deployment_id, generation=generation),
            c.RollBack(subject_id=deployment_id, to_generation=max(1, generation - self.random.randrange(4))),
            c.ScaleDeployment(subject_id=deployment_id, replicas=self.random.randint(1, 3)),
            c.IdleDeployment(subject_id=DEPLOYMENTS[2]),
            c.WakeDeployment(subject_id=deployment_id),
        ]
        unlikely: list[c.Command] = [
            failed,
            c.StopDeployment(subject_id=deployment_id),
            c.Undeploy(subject_id=deployment_id),
            c.RequestDiscard(subject_id=deployment_id),
            c.RecordDiscarded(subject_id=deployment_id),
        ]
        return self.random.choice(likely if self.random.random() < 0.8 else unlikely)

    def instance_command(self, deployment_id: str, generation: int) -> c.Command:
        key = self.random.choice([instance_id(deployment_id, generation, 0), *self.steps.views.instances.rows])
        outcomes = sample.roll_out(deployment_id, generation)
        likely: list[c.Command] = [*outcomes[2:5], *outcomes[2:5], c.RecordPaused(subject_id=key)]
        likely += [c.RecordResumed(subject_id=key), c.RecordExec(subject_id=key, program="ls", argument_count=1)]
        likely += [c.PauseInstance(subject_id=key), c.ResumeInstance(subject_id=key)]
        likely += self.another_replica(deployment_id, generation)
        unlikely: list[c.Command] = [
            c.RecordStartFailed(subject_id=key, code="X", message="no"),
            sample.stop_instance(key),
            c.RecordStopped(subject_id=key, reason="exited"),
            c.RemoveInstance(subject_id=key),
            c.RecordRemoved(subject_id=key),
            c.RecordUnobservable(subject_id=key, reason="away"),
            c.RecordObservedAgain(subject_id=key),
            c.ReportOrphan(subject_id=key, runtime="memory", name="stray"),
        ]
        return self.random.choice(likely if self.random.random() < 0.8 else unlikely)

    def another_replica(self, deployment_id: str, generation: int) -> list[c.Command]:
        """Return what adds the next instance to a generation, and what makes it ready."""
        entry = self.steps.dispatcher.indexes.deployments.get(deployment_id)
        number = entry.next_numbers.get(generation, 0) if entry else 0
        create, started, ready = sample.roll_out(deployment_id, generation)[2:5]
        key = instance_id(deployment_id, generation, number)
        last = instance_id(deployment_id, generation, max(number - 1, 0))
        return [
            msgspec.structs.replace(create, subject_id=key, number=number),
            msgspec.structs.replace(started, subject_id=last),
            msgspec.structs.replace(ready, subject_id=last),
        ]

    def task_command(self, deployment_id: str) -> c.Command:
        if self.random.random() < 0.35:
            self.task_count += 1
            key = self.random.choice((None, f"key-{self.random.randrange(20)}"))
            return sample.submit(f"t{self.task_count}", deployment_id, key, "r")
        task_id = f"t{self.random.randint(max(1, self.task_count - 15), self.task_count + 1)}"
        if self.steps.views.tasks.open and self.random.random() < 0.5:
            task_id = self.random.choice(list(self.steps.views.tasks.open))
        row = self.steps.views.tasks.get(task_id)
        attempt = max(1, (row.state.attempt if row else 1) - (self.random.random() < 0.3))
        if self.random.random() < 0.5:
            return c.StartAttempt(subject_id=task_id)
        outcomes: list[c.Command] = [
            sample.succeed(task_id, attempt),
            sample.fail(task_id, attempt),
            sample.expire(task_id, attempt),
            c.RecordClaimed(subject_id=task_id, attempt=attempt),
            c.RecordQuarantined(subject_id=task_id, attempt=attempt, reason="a link"),
        ]
        ends: list[c.Command] = [
            c.CancelTask(subject_id=task_id),
            c.AbandonTask(subject_id=task_id, reason="gone"),
        ]
        return self.random.choice(outcomes if self.random.random() < 0.9 else ends)

    def rest(self) -> c.Command:
        name = f"n{self.random.randrange(3)}"
        choices: list[c.Command] = [
            c.AddRepository(subject_id=name, url="file:///agents"),
            c.AddRepository(subject_id=name, url="file:///agents", poll_seconds=self.random.randint(30, 32)),
            c.RecordPush(subject_id=name, origin="poll", branch="main", commit=str(self.random.randrange(9))),
            c.RemoveRepository(subject_id=name),
            c.AddRegistry(subject_id=name, username="u", secret=str(self.random.randrange(9))),
            c.RemoveRegistry(subject_id=name),
            sample.issue_key(name, self.random.choice(("init", "request"))),
            c.RevokeKey(subject_id=name),
            c.ChangeSetting(subject_id="main", name="taskTimeout", value=float(self.random.randint(1, 9))),
        ]
        return self.random.choice(choices)

    def check_views(self) -> None:
        """Compare what was folded as it was committed with what the journal says."""
        views = rebuilt(self.steps.store)
        assert dumped(self.steps.views) == dumped(views)
        assert contents_of(views.indexes()) == contents_of(self.steps.views.indexes())

    def check_end(self) -> None:
        """Check what must hold when nothing is left to do."""
        steps = self.steps
        steps.settle()
        assert steps.dispatcher.is_idle
        assert all(len(heard.answers) == 1 for heard in self.heard), "an answer was lost"
        assert contents_of(steps.dispatcher.indexes) == contents_of(steps.views.indexes())
        assert dumped(steps.views) == dumped(rebuilt(steps.store))
        assert steps.dispatcher.head == steps.store.head()
        assert not steps.fatal
        steps.verify()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_journal_and_its_views_agree(seed: int) -> None:
    """Each seed: one answer per command, acknowledged when durable; live views, rebuilt views, indexes equal."""
    simulation = Simulation(seed)
    for _ in range(ACTIONS):
        simulation.act()
    simulation.check_end()


def test_the_simulation_meets_what_it_is_for() -> None:
    """Over the seeds every type of event occurs, tasks end in every way, and commits fail."""
    types: set[str] = set()
    ends: set[str] = set()
    failed_count = 0
    for seed in SEEDS:
        simulation = Simulation(seed)
        for _ in range(ACTIONS):
            simulation.act()
        simulation.check_end()
        types.update(simulation.steps.types())
        ends.update(row.state.state for row in simulation.steps.views.tasks.recent.values())
        failed_count += sum(isinstance(heard.answer, JournalFull) for heard in simulation.heard)
    assert set(simulation.steps.codec.types) - types == set()
    assert ends == ENDED
    assert failed_count > 0
