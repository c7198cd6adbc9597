"""Committed events as a test lists them: positions, versions and times follow from their place."""

from datetime import UTC, datetime, timedelta

import msgspec

from ploinky.domain import events as e
from ploinky.domain.ids import split_stream
from ploinky.domain.payload import PayloadReference
from ploinky.domain.specs import DeploymentSpec, PinnedImage, Release
from ploinky.journal.codec import NO_PAYLOADS, Recorded
from ploinky.views.views import Views

START = datetime(2030, 1, 1, tzinfo=UTC)
PAYLOAD = PayloadReference(2, "ab")
RELEASE = Release(commit="c1", concurrency=2)
PINNED = msgspec.structs.replace(RELEASE, pin=PinnedImage(runtime="memory"))
"""As it is from the image step on."""


class History:
    """Folds what it is told into its views, one second after the other."""

    def __init__(self) -> None:
        self.views = Views()
        self.recorded: list[Recorded] = []
        self._versions: dict[str, int] = {}
        self.now = START

    def add(self, stream: str, *events: e.Event, after_seconds: float = 1.0) -> int:
        """Let events of one stream happen at once; return the position of the last."""
        self.now += timedelta(seconds=after_seconds)
        kind, subject_id = split_stream(stream)
        for event in events:
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            position = len(self.recorded) + 1
            origin = ("key:k1", f"request-{position}", 0)
            one = Recorded(position, kind, subject_id, version, self.now, *origin, event, NO_PAYLOADS)
            self.recorded.append(one)
            self.views.fold([one])
        return len(self.recorded)

    def deploy(self, deployment_id: str, path: str = "", domain: str = "*") -> None:
        requested = e.DeploymentRequested(
            domain=domain,
            path=path or f"/{deployment_id}",
            spec=DeploymentSpec(agent="echo", repository="file:///agents"),
        )
        self.add(f"deployment/{deployment_id}", requested, e.RolloutRequested(generation=1, reason="deploy"))

    def prepare(self, deployment_id: str, generation: int = 1, release: Release = RELEASE) -> None:
        """Bring a rollout to where its instance is started."""
        self.add(
            f"deployment/{deployment_id}",
            e.SourceFetched(generation=generation, release=release),
            e.ImageReady(generation=generation, runtime="memory", image="echo:1"),
        )

    def create(self, deployment_id: str, generation: int = 1, release: Release = RELEASE) -> str:
        created = e.InstanceCreated(
            deployment_id=deployment_id, generation=generation, number=0, runtime="memory", name="n", release=release
        )
        self.add(f"instance/{deployment_id}.{generation}.0", created)
        return f"{deployment_id}.{generation}.0"

    def start(self, instance: str) -> None:
        self.add(f"instance/{instance}", e.InstanceStarted(engine_id="e1", queue_identity="q1"), e.InstanceReady())

    def switch(self, deployment_id: str, generation: int = 1, release: Release = RELEASE) -> None:
        switched = e.DeploymentSwitched(
            generation=generation, release=release, runtime="memory", switched_at=self.now + timedelta(seconds=1)
        )
        self.add(f"deployment/{deployment_id}", switched, e.RolloutSucceeded(generation=generation))

    def roll_out(self, deployment_id: str, generation: int = 1, release: Release = RELEASE) -> str:
        """Finish a rollout that was asked for; return its instance."""
        self.prepare(deployment_id, generation, release)
        instance = self.create(deployment_id, generation, release)
        self.start(instance)
        self.switch(deployment_id, generation, release)
        return instance

    def serve(self, deployment_id: str = "d1", release: Release = RELEASE) -> str:
        """Deploy and finish the first rollout; return its instance."""
        self.deploy(deployment_id)
        return self.roll_out(deployment_id, 1, release)

    def submit(self, task_id: str, deployment_id: str = "d1", key: str | None = None) -> None:
        submitted = e.TaskSubmitted(
            deployment_id=deployment_id,
            command="run",
            params=PAYLOAD,
            metadata=PAYLOAD,
            time_limit_seconds=60.0,
            lost_retries=3,
            failed_retries=0,
            backoff_seconds=1.0,
            idempotency=key,
            request_digest="r",
        )
        self.add(f"task/{task_id}", submitted)

    def attempt(self, task_id: str, instance: str = "d1.1.0", attempt: int = 1, limit_seconds: float = 60.0) -> None:
        started = e.AttemptStarted(
            attempt=attempt,
            instance_id=instance,
            transport="file",
            deadline_at=self.now + timedelta(seconds=1 + limit_seconds),
        )
        self.add(f"task/{task_id}", started)

    def expire(self, task_id: str, attempt: int = 1, delay_seconds: float = 0.0) -> None:
        retry_at = self.now + timedelta(seconds=1 + delay_seconds)
        lost = e.AttemptExpired(attempt=attempt, reason="gone", code="TASK_LOST", message="lost", retry_at=retry_at)
        self.add(f"task/{task_id}", lost)

    def succeed(self, task_id: str, attempt: int = 1) -> None:
        self.add(f"task/{task_id}", e.TaskSucceeded(attempt=attempt, result=PAYLOAD))

    def stop(self, instance: str, reason: str = "exited") -> None:
        """Let an instance end by itself."""
        self.add(f"instance/{instance}", e.InstanceStopped(reason=reason))
