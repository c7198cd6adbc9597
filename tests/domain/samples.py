"""Short names for the things that the rules are about: one deployment, its instances, its tasks."""

from datetime import datetime, timedelta
from typing import Any

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.payload import Payload, inline_payload
from ploinky.domain.specs import DeploymentSpec, Release, RetryPolicy
from tests.domain.specification import START, Past

SECOND = timedelta(seconds=1)
SPEC = DeploymentSpec(agent="hello", repository="https://git.example.com/agents.git")
RELEASE = Release(commit="c1", concurrency=2)
NEWER = Release(commit="c2", concurrency=2)
NEEDY = Release(commit="c1", concurrency=2, dependencies="needs")

ID = "d1"
DEPLOYMENT = f"deployment/{ID}"
FIRST = "instance/d1.1.0"
SECOND_REPLICA = "instance/d1.1.1"
TASK = "task/t1"


def payload(content: bytes = b"[]") -> Payload:
    return inline_payload(content, b"salt")


def requested(path: str = "/hello", deployment_id: str = ID) -> list[tuple[str, e.Event]]:
    stream = f"deployment/{deployment_id}"
    return [
        (stream, e.DeploymentRequested(domain="localhost", path=path, spec=SPEC)),
        (stream, e.RolloutRequested(generation=1, reason="deploy")),
    ]


def prepared(generation: int = 1, release: Release = RELEASE) -> list[tuple[str, e.Event]]:
    return [
        (DEPLOYMENT, e.SourceFetched(generation=generation, release=release)),
        (DEPLOYMENT, e.ImageReady(generation=generation, runtime="process", image="")),
    ]


def switched(generation: int = 1, release: Release = RELEASE, at: datetime = START) -> list[tuple[str, e.Event]]:
    return [
        (
            DEPLOYMENT,
            e.DeploymentSwitched(generation=generation, release=release, runtime="process", switched_at=at),
        ),
        (DEPLOYMENT, e.RolloutSucceeded(generation=generation)),
    ]


def failed(generation: int = 1, step: str = "source") -> tuple[str, e.Event]:
    return (DEPLOYMENT, e.RolloutFailed(generation=generation, step=step, code="SOURCE_INVALID", message="no"))


def created(stream: str = FIRST, generation: int = 1, number: int = 0) -> tuple[str, e.Event]:
    event = e.InstanceCreated(
        deployment_id=ID, generation=generation, number=number, runtime="process", name="n", release=RELEASE
    )
    return (stream, event)


def running(stream: str = FIRST, generation: int = 1, number: int = 0) -> list[tuple[str, e.Event]]:
    return [created(stream, generation, number), (stream, e.InstanceStarted(engine_id="e1", queue_identity="q1"))]


def ready(stream: str = FIRST, generation: int = 1, number: int = 0) -> list[tuple[str, e.Event]]:
    return [*running(stream, generation, number), (stream, e.InstanceReady())]


def serving(release: Release = RELEASE) -> list[tuple[str, e.Event]]:
    """Give a deployment whose first generation serves, without its instances."""
    return [*requested(), *prepared(release=release), *switched(release=release)]


def serving_instance(release: Release = RELEASE) -> list[tuple[str, e.Event]]:
    return [*serving(release), *ready()]


def with_retries(lost: int = 3, handler: int = 0, backoff_seconds: float = 1.0) -> Release:
    return Release(
        commit="c1", concurrency=2, retries=RetryPolicy(lost=lost, failed=handler, backoff_seconds=backoff_seconds)
    )


def submit(task_id: str = "t1", **changes: Any) -> c.SubmitTask:
    fields: dict[str, Any] = {"deployment_id": ID, "command": "hello", "params": payload(), "metadata": payload()}
    return c.SubmitTask(subject_id=task_id, **{**fields, **changes})


def submitted(task_id: str = "t1", **changes: Any) -> tuple[str, e.Event]:
    fields: dict[str, Any] = {
        "deployment_id": ID,
        "command": "hello",
        "params": payload().reference,
        "metadata": payload().reference,
        "time_limit_seconds": 300.0,
        "lost_retries": 3,
        "failed_retries": 0,
        "backoff_seconds": 1.0,
    }
    return (f"task/{task_id}", e.TaskSubmitted(**{**fields, **changes}))


def attempt(number: int = 1, task_id: str = "t1", instance_id: str = "d1.1.0") -> tuple[str, e.Event]:
    return (
        f"task/{task_id}",
        e.AttemptStarted(attempt=number, instance_id=instance_id, transport="file", deadline_at=START + 300 * SECOND),
    )


def expired(number: int = 1, reason: str = "instance_gone", at: datetime = START) -> tuple[str, e.Event]:
    return (TASK, e.AttemptExpired(attempt=number, reason=reason, code="TASK_LOST", message="lost", retry_at=at))


def succeed(number: int = 1, task_id: str = "t1") -> c.RecordSucceeded:
    return c.RecordSucceeded(subject_id=task_id, attempt=number, result=payload(b'"ok"'))


def fail(number: int = 1, code: str = "TASK_EXECUTION_ERROR", message: str = "boom") -> c.RecordFailed:
    return c.RecordFailed(subject_id="t1", attempt=number, code=code, message=message)


def expire(number: int = 1, reason: str = "instance_gone") -> c.ExpireAttempt:
    return c.ExpireAttempt(subject_id="t1", attempt=number, reason=reason)


def at_work(**changes: Any) -> Past:
    """Give a running task on the only instance."""
    return [*serving_instance(), submitted(**changes), attempt()]
