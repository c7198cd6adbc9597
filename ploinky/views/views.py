"""All views together: one fold, one dump, one position."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ploinky.domain.access import ACCESS, Key
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.deployment_wishes import DEPLOYMENT
from ploinky.domain.events import InstanceCreated
from ploinky.domain.indexes import DeploymentEntry, IdempotencyEntry, Indexes
from ploinky.domain.instance import INSTANCE, Instance, Status
from ploinky.domain.registry import REGISTRY, Registry
from ploinky.domain.repository import REPOSITORY, Repository
from ploinky.domain.routing import Route, RouteTable
from ploinky.domain.settings import SETTINGS_DECIDER, SETTINGS_ID, Settings, SettingValue
from ploinky.domain.task import TaskState
from ploinky.journal.codec import Recorded
from ploinky.views.due_times import DueTimes, deployment_due, instance_due, task_due
from ploinky.views.environments import EnvironmentsView
from ploinky.views.intents import OpenIntents, deployment_intent, instance_intent
from ploinky.views.rows import Row, RowsView
from ploinky.views.tasks import TaskRow, TasksView


class Views:
    """Everything that is alive, as of `position`."""

    def __init__(self) -> None:
        """Start before the first event."""
        self.position = 0
        self.deployments = RowsView[Deployment](DEPLOYMENT, lambda state: state.is_gone)
        self.instances = RowsView[Instance](INSTANCE, lambda state: state.status is Status.REMOVED)
        self.tasks = TasksView()
        self.repositories = RowsView[Repository](REPOSITORY, lambda state: not state.url)
        self.registries = RowsView[Registry](REGISTRY, lambda state: not state.username)
        self.access = RowsView[Key](ACCESS, lambda _: False)
        self.settings = RowsView[Settings](SETTINGS_DECIDER, lambda _: False)
        self.environments = EnvironmentsView()
        self.next_numbers: dict[str, dict[int, int]] = {}
        """By deployment and generation in use, the number its next instance gets."""
        self.by_deployment: dict[str, dict[str, None]] = {}
        """The instances of each deployment, oldest first."""
        self.routes = RouteTable()
        self.intents = OpenIntents()
        self.due = DueTimes()
        self._plain = {view.kind: view for view in (self.repositories, self.registries, self.access, self.settings)}

    def fold(self, batch: Sequence[Recorded]) -> None:
        """Take committed events in, in order."""
        for recorded in batch:
            match recorded.kind:
                case "task":
                    self._fold_task(recorded)
                case "deployment":
                    self._fold_deployment(recorded)
                case "instance":
                    self._fold_instance(recorded)
                case kind if kind in self._plain:
                    self._plain[kind].apply(recorded)
            self.position = recorded.position

    def _fold_task(self, recorded: Recorded) -> None:
        row = self.tasks.apply(recorded)
        if row is not None:
            self._note_task(recorded.subject_id, row)

    def _fold_deployment(self, recorded: Recorded) -> None:
        before = self.deployments.get(recorded.subject_id)
        row = self.deployments.apply(recorded)
        if row is None:
            return
        after = row.state
        self.environments.apply(recorded, before, after)
        self._keep_numbers(recorded.subject_id, before, after)
        if before is None or before.desired is not after.desired:
            self.routes = self._route_table()
        self._note_deployment(recorded.subject_id, row)

    def _keep_numbers(self, deployment_id: str, before: Deployment | None, after: Deployment) -> None:
        """Forget the numbers of generations that will get no instance any more."""
        if after.is_gone:
            self.next_numbers.pop(deployment_id, None)
        elif before is not None and before.active_generation < after.active_generation:
            used = self.next_numbers.get(deployment_id, {})
            kept = (before.active_generation, after.active_generation)
            self.next_numbers[deployment_id] = {key: used[key] for key in kept if key in used}

    def _fold_instance(self, recorded: Recorded) -> None:
        if isinstance(recorded.event, InstanceCreated):
            numbers = self.next_numbers.setdefault(recorded.event.deployment_id, {})
            numbers[recorded.event.generation] = recorded.event.number + 1
        row = self.instances.apply(recorded)
        if row is not None:
            self._note_instance(recorded.subject_id, row)

    def _note_task(self, task_id: str, row: TaskRow) -> None:
        self.due.place(("task", task_id), task_due(row.state, row.submitted_at))

    def _note_deployment(self, deployment_id: str, row: Row[Deployment]) -> None:
        self.intents.place("deployment", deployment_id, deployment_intent(row.state), row.changed_position)
        self.due.place(("deployment", deployment_id), deployment_due(row.state))

    def _note_instance(self, instance_id: str, row: Row[Instance]) -> None:
        state = row.state
        self.intents.place("instance", instance_id, instance_intent(state), row.changed_position)
        self.due.place(("instance", instance_id), instance_due(state, row.created_at, row.changed_at))
        if state.status is Status.REMOVED:
            siblings = self.by_deployment.get(state.deployment_id, {})
            siblings.pop(instance_id, None)
            if not siblings:
                self.by_deployment.pop(state.deployment_id, None)
        else:
            self.by_deployment.setdefault(state.deployment_id, {})[instance_id] = None

    def instances_of(self, deployment_id: str) -> list[tuple[str, Instance]]:
        """Return a deployment's instances that are not removed, oldest first. Orphans belong to the empty id."""
        return [(key, self.instances.rows[key].state) for key in self.by_deployment.get(deployment_id, ())]

    def serving_instances(self, deployment_id: str) -> list[tuple[str, Instance]]:
        """Return the instances that take what comes in: ready ones of the active generation, oldest first."""
        row = self.deployments.rows.get(deployment_id)
        generation = row.state.active_generation if row else 0
        return [
            (key, instance)
            for key, instance in self.instances_of(deployment_id)
            if instance.generation == generation and _is_serving(instance)
        ]

    def free_slots(self, deployment_id: str) -> int:
        """Return how many more tasks a deployment's serving instances take now."""
        row = self.deployments.rows.get(deployment_id)
        release = row.state.active_release if row else None
        if release is None:
            return 0
        return sum(
            max(0, release.concurrency - len(self.tasks.running.get(key, ())))
            for key, _ in self.serving_instances(deployment_id)
        )

    def next_number(self, deployment_id: str, generation: int) -> int:
        """Return the number that a generation's next instance gets."""
        return self.next_numbers.get(deployment_id, {}).get(generation, 0)

    def find_deployment(self, domain: str, path: str) -> str | None:
        """Return the id of the deployment that owns a route."""
        found = self.routes.match(domain, path)
        return found.deployment_id if found and found.route == Route(domain, path) else None

    def setting(self, name: str) -> SettingValue | None:
        """Return a setting's value, or None when the configuration decides."""
        settings = self.settings.get(SETTINGS_ID)
        return settings.values.get(name) if settings else None

    def _route_table(self) -> RouteTable:
        return RouteTable(
            (Route(row.state.domain, row.state.path), deployment_id)
            for deployment_id, row in self.deployments.items()
            if row.state.desired is not Desired.REMOVED
        )

    def indexes(self) -> Indexes:
        """Make the dispatcher's indexes anew from what is committed."""
        indexes = Indexes()
        for deployment_id, row in self.deployments.items():
            entry = indexes.deployments[deployment_id] = _entry(row.state)
            entry.next_numbers = dict(self.next_numbers.get(deployment_id, {}))
            if row.state.desired is not Desired.REMOVED:
                indexes.routes[Route(row.state.domain, row.state.path)] = deployment_id
        for instance_id, instance in self.instances.items():
            state = instance.state
            if state.deployment_id:
                indexes.instances[instance_id] = state.deployment_id
            owner = indexes.deployments.get(state.deployment_id)
            if owner is not None and _is_serving(state):
                owner.ready[instance_id] = state.generation
        for task_id, task in self.tasks.open.items():
            if task.state.state is TaskState.RUNNING:
                indexes.occupy(task_id, task.state.instance_id)
            else:
                indexes.place_waiting(task_id, task.state.deployment_id)
        for key, kept in self.tasks.idempotency.items():
            indexes.idempotency[key] = IdempotencyEntry(kept.task_id, kept.request_digest, kept.submitted_at)
        indexes.is_initialised = bool(self.access.rows)
        return indexes

    def dump(self) -> dict[str, Any]:
        """Return what a snapshot keeps, and what two ways of getting here are compared by."""
        return {
            "deployments": self.deployments.dump(),
            "instances": self.instances.dump(),
            "tasks": self.tasks.dump(),
            "repositories": self.repositories.dump(),
            "registries": self.registries.dump(),
            "access": self.access.dump(),
            "settings": self.settings.dump(),
            "environments": self.environments.dump(),
            "nextNumbers": {
                key: {str(generation): number for generation, number in numbers.items()}
                for key, numbers in self.next_numbers.items()
            },
            "intents": {f"{kind}/{key}": intent for (kind, key), intent in self.intents.by_stream.items()},
        }

    def load(self, raw: msgspec.Raw, position: int) -> None:
        """Take a snapshot in, into fresh views."""
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        self.deployments.load(parts["deployments"])
        self.instances.load(parts["instances"])
        self.tasks.load(parts["tasks"])
        self.repositories.load(parts["repositories"])
        self.registries.load(parts["registries"])
        self.access.load(parts["access"])
        self.settings.load(parts["settings"])
        self.environments.load(parts["environments"])
        self.next_numbers = msgspec.json.decode(parts["nextNumbers"], type=dict[str, dict[int, int]])
        self.intents.load(parts["intents"])
        for deployment_id, row in self.deployments.items():
            self._note_deployment(deployment_id, row)
        for instance_id, instance in self.instances.items():
            self._note_instance(instance_id, instance)
        for task_id, task in self.tasks.open.items():
            self._note_task(task_id, task)
        self.routes = self._route_table()
        self.position = position


def _is_serving(instance: Instance) -> bool:
    takes = instance.status is Status.RUNNING and instance.is_ready and not instance.is_pause_requested
    return takes and not instance.is_stop_requested and not instance.is_remove_requested


def _entry(state: Deployment) -> DeploymentEntry:
    entry = DeploymentEntry()
    entry.is_wanted = state.desired is Desired.RUNNING
    entry.is_idle = state.is_idle
    entry.last_generation = state.last_generation
    entry.active_generation = state.active_generation
    entry.release = state.active_release
    if state.previous is not None:
        entry.previous = (state.previous.generation, state.previous.release)
    entry.rollout = state.rollout.generation if state.rollout else 0
    return entry
