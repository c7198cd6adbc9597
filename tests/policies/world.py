"""A world that obeys: policies give commands, open intents get outcomes, instances live and end, time passes."""

from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from ploinky.adapters.memory.clock import ManualClock
from ploinky.adapters.memory.journal import AppendFault, JournalContents
from ploinky.domain import commands as c
from ploinky.domain.deployment import Desired
from ploinky.domain.errors import JournalFull, Unavailable
from ploinky.domain.instance import LIVE, Status
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.policies.reaction import all_subjects, look, subjects_of
from ploinky.views.due_times import Subject
from ploinky.views.intents import Intent, IntentKind
from tests.journal import sample_commands as sample
from tests.journal.stepping import Heard, Stepping

POLICY = Context("policy", "simulation")
ROUNDS_LIMIT = 300
FULL_LIMIT_COMMITS = 150


class World(Stepping):
    """The machinery with its policies, and an engine whose luck is a random number."""

    def __init__(
        self,
        seed: int,
        *,
        contents: JournalContents | None = None,
        clock: ManualClock | None = None,
        full_share: float = 0.0,
    ) -> None:
        """Fail that share of the first commits because the disk is full."""
        self.random = Random(seed)
        full = [n for n in range(1, FULL_LIMIT_COMMITS) if full_share and self.random.random() < full_share]
        super().__init__(contents, clock=clock, faults=[AppendFault(n, JournalFull()) for n in full])
        self.luck = 1.0
        """The chance that an effect or a task succeeds."""
        self._frozen_on_request: set[str] = set()
        self.repeated: list[tuple[Heard, Heard]] = []
        self._was_disk_full = False
        self._asked: list[tuple[Subject, Heard]] = []
        self.dispatcher.followers.append(self._react)

    def _react(self, batch: Sequence[Recorded]) -> None:
        self.look_at(subjects_of(batch, self.views))

    def look_at(self, subjects: Iterable[Subject]) -> None:
        """Give what follows, all of it twice: as if somebody had looked twice before the first was committed."""
        for subject in subjects:
            for command in look(subject, self.views, self.clock.now()):
                first = self.give(command, context=POLICY, is_urgent=True)
                second = self.give(command, context=POLICY, is_urgent=True)
                self.repeated.append((first, second))
                self._asked.append((subject, second))

    def run(self, *commands: c.Command) -> list[Heard]:
        """Give commands as people and the executor do, who try again when the disk was full."""
        heard = super().run(*commands)
        self._was_disk_full |= any(isinstance(one.answer, JournalFull) for one in heard)
        return heard

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and have everything looked at that became due, or whose commands met a full disk."""
        self.clock.advance(seconds)
        failed = self.failed_subjects()
        self._asked.clear()
        self._was_disk_full = False
        self.look_at(sorted(self.views.due.take(self.clock.now()) | failed))
        self.settle()

    def failed_subjects(self) -> set[Subject]:
        """Return what has to be looked at again, because a command about it could not be recorded."""
        return {subject for subject, heard in self._asked if isinstance(heard.answers[-1], Unavailable)}

    def bring_about(self) -> bool:
        """Answer all open intents; return whether there were any."""
        intents = list(self.views.intents.by_stream.values())
        for intent in intents:
            self.run(self._outcome(intent))
        return bool(intents)

    def _is_lucky(self) -> bool:
        return self.random.random() < self.luck

    def _outcome(self, intent: Intent) -> c.Command:
        key, generation = intent.subject_id, intent.generation
        match intent.kind:
            case IntentKind.FETCH_SOURCE | IntentKind.READY_IMAGE | IntentKind.INSTALL_DEPENDENCIES:
                if not self._is_lucky():
                    return c.FailRollout(subject_id=key, generation=generation, step="source", code="X", message="no")
                return self._preparation(intent)
            case IntentKind.START_INSTANCE if not self._is_lucky():
                return c.RecordStartFailed(subject_id=key, code="X", message="no")
            case IntentKind.START_INSTANCE:
                return c.RecordStarted(subject_id=key, engine_id=f"engine-{key}", queue_identity="q")
            case IntentKind.DISCARD_DEPLOYMENT:
                return c.RecordDiscarded(subject_id=key)
            case _:
                return self._change(intent)

    def _change(self, intent: Intent) -> c.Command:
        key = intent.subject_id
        match intent.kind:
            case IntentKind.PAUSE_INSTANCE:
                self._frozen_on_request.add(key)
                return c.RecordPaused(subject_id=key)
            case IntentKind.RESUME_INSTANCE:
                self._frozen_on_request.discard(key)
                return c.RecordResumed(subject_id=key)
            case IntentKind.STOP_INSTANCE:
                return c.RecordStopped(subject_id=key, reason="requested")
            case _:
                return c.RecordRemoved(subject_id=key)

    def _preparation(self, intent: Intent) -> c.Command:
        key, generation = intent.subject_id, intent.generation
        if intent.kind is IntentKind.FETCH_SOURCE:
            release = msgspec.structs.replace(
                sample.release(),
                dependencies=self.random.choice(("", "needs")),
                revert_window_seconds=self.random.choice((0.0, 5.0)),
                warm_instances=self.random.choice((0, 0, 2)),
            )
            return c.RecordSource(subject_id=key, generation=generation, release=release, is_from_cache=False)
        if intent.kind is IntentKind.READY_IMAGE:
            return c.RecordImage(subject_id=key, generation=generation, runtime="memory", image="", digest="")
        return c.RecordDependencies(subject_id=key, generation=generation, digest="f1", is_cached=True, seconds=0.0)

    def live(self) -> None:
        """Let instances become ready, or end, and tasks be answered, as luck has it."""
        for key, row in list(self.views.instances.items()):
            state = row.state
            if state.status is Status.PAUSED and key not in self._frozen_on_request and self._is_lucky():
                self.run(c.RecordResumed(subject_id=key))
            elif state.status is Status.RUNNING and not self._is_lucky():
                reason = self.random.choice(("exited", "vanished", "shutdown"))
                ends = (c.RecordStopped(subject_id=key, reason=reason), c.RecordPaused(subject_id=key))
                self.run(self.random.choice(ends))
            elif state.status is Status.RUNNING and state.deployment_id and not state.is_ready and self._is_lucky():
                self.run(c.RecordReady(subject_id=key))
        for task_id, task in list(self.views.tasks.open.items()):
            instance = self.views.instances.get(task.state.instance_id)
            is_worked_on = instance is not None and instance.status is Status.RUNNING
            if is_worked_on and task.state.attempt and self._is_lucky():
                if self._is_lucky():
                    self.run(sample.succeed(task_id, task.state.attempt))
                else:
                    self.run(sample.fail(task_id, task.state.attempt, self.random.choice(("X", "WORKER_DIED"))))

    def wish(self) -> None:
        """Ask for something, as people do."""
        deployment_id = self.random.choice(("d1", "d2", "d3"))
        number = len(self.heard_tasks) + 1
        wishes: list[c.Command] = [
            sample.deploy(f"d{self.random.randint(1, 4)}", f"/{self.random.randint(1, 4)}"),
            c.UpdateDeployment(subject_id=deployment_id, spec=sample.SPEC),
            c.RestartDeployment(subject_id=deployment_id),
            c.StopDeployment(subject_id=deployment_id),
            c.StartDeployment(subject_id=deployment_id),
            c.ScaleDeployment(subject_id=deployment_id, replicas=self.random.randint(1, 3)),
            c.RollBack(subject_id=deployment_id, to_generation=self.random.randint(1, 9)),
            c.IdleDeployment(subject_id=deployment_id),
            c.ReportOrphan(subject_id=f"stray{number}", runtime="memory", name="stray"),
        ]
        if self.random.random() < 0.03:
            wishes = [c.Undeploy(subject_id=deployment_id)]
        elif self.random.random() < 0.75:
            task = sample.submit(f"t{number}", deployment_id)
            wishes = [task, task, c.CancelTask(subject_id=f"t{self.random.randint(1, number)}")]
        self.run(self.random.choice(wishes))

    @property
    def heard_tasks(self) -> set[str]:
        return {*self.views.tasks.open, *self.views.tasks.recent}

    def come_to_rest(self) -> int:
        """Let everything succeed and time pass until nothing follows any more; return after how many rounds."""
        self.luck = 1.0
        for rounds in range(ROUNDS_LIMIT):
            before = self.dispatcher.head.position
            self.bring_about()
            self.live()
            if self.dispatcher.head.position > before:
                continue
            next_at = self.views.due.next_at()
            if next_at is not None:
                self.pass_time(max((next_at - self.clock.now()).total_seconds(), 0.0))
            elif self.failed_subjects() or self._was_disk_full:
                self.pass_time(1.0)
            else:
                return rounds
        raise AssertionError(f"no rest after {ROUNDS_LIMIT} rounds: {self.types()[-20:]}")

    def check_rest(self) -> None:
        """Check that what is, is what was wanted."""
        assert not self.views.intents.by_stream
        assert not self.views.tasks.open
        assert [look(subject, self.views, self.clock.now()) for subject in all_subjects(self.views)].count([]) == len(
            all_subjects(self.views)
        ), "somebody still wants something"
        for deployment_id, row in self.views.deployments.items():
            instances = [state for _, state in self.views.instances_of(deployment_id)]
            assert row.state.rollout is None
            release = row.state.active_release
            if row.state.desired is Desired.RUNNING and release and (not row.state.is_idle or row.state.is_warm):
                awake = 0 if row.state.is_idle else row.state.spec.replicas
                assert len(instances) == row.state.spec.replicas + release.warm_instances
                assert sum(serving.status is Status.RUNNING for serving in instances) == awake
                assert {serving.generation for serving in instances} == {row.state.active_generation}
                assert all(serving.status in LIVE and serving.is_ready for serving in instances)
            else:
                assert not instances
            assert row.state.desired is not Desired.REMOVED
        assert not self.views.instances_of(""), "an orphan was left"
