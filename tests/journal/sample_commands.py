"""Commands as tests need them: small, valid, and named by what they do."""

from ploinky.domain import commands as c
from ploinky.domain.ids import instance_id
from ploinky.domain.payload import Payload, inline_payload
from ploinky.domain.specs import DeploymentSpec, Release

SPEC = DeploymentSpec(agent="echo", repository="file:///agents")
SALT = bytes(16)


def payload(content: bytes = b"{}") -> Payload:
    return inline_payload(content, SALT)


def release(concurrency: int = 2, commit: str = "c1") -> Release:
    return Release(commit=commit, concurrency=concurrency)


def deploy(deployment_id: str, path: str = "", domain: str = "*") -> c.Deploy:
    return c.Deploy(subject_id=deployment_id, domain=domain, path=path or f"/{deployment_id}", spec=SPEC)


def create(deployment_id: str, generation: int = 1, concurrency: int = 2) -> c.CreateInstance:
    return c.CreateInstance(
        subject_id=instance_id(deployment_id, generation, 0),
        deployment_id=deployment_id,
        generation=generation,
        number=0,
        runtime="memory",
        name=f"{deployment_id}-{generation}",
        image="",
        release=release(concurrency),
    )


def roll_out(deployment_id: str, generation: int = 1, concurrency: int = 2) -> list[c.Command]:
    """Return what the outcomes of a requested rollout are, up to the switch."""
    instance = instance_id(deployment_id, generation, 0)
    return [
        c.RecordSource(
            subject_id=deployment_id, generation=generation, release=release(concurrency), is_from_cache=False
        ),
        c.RecordImage(subject_id=deployment_id, generation=generation, runtime="memory", image="", digest=""),
        create(deployment_id, generation, concurrency),
        c.RecordStarted(subject_id=instance, engine_id=f"engine-{instance}", queue_identity="q"),
        c.RecordReady(subject_id=instance),
        c.Switch(subject_id=deployment_id, generation=generation),
    ]


def serve(deployment_id: str, concurrency: int = 2, path: str = "") -> list[c.Command]:
    """Return everything from nothing to a deployment that serves."""
    return [deploy(deployment_id, path), *roll_out(deployment_id, 1, concurrency)]


def submit(task_id: str, deployment_id: str = "d1", key: str | None = None, digest: str | None = None) -> c.SubmitTask:
    return c.SubmitTask(
        subject_id=task_id,
        deployment_id=deployment_id,
        command="run",
        params=payload(b'{"a":1}'),
        metadata=payload(),
        idempotency=key,
        request_digest=digest,
    )


def succeed(task_id: str, attempt: int = 1) -> c.RecordSucceeded:
    return c.RecordSucceeded(subject_id=task_id, attempt=attempt, result=payload(b"1"))


def fail(task_id: str, attempt: int = 1, code: str = "TASK_EXECUTION_ERROR") -> c.RecordFailed:
    return c.RecordFailed(subject_id=task_id, attempt=attempt, code=code, message="no")


def expire(task_id: str, attempt: int = 1) -> c.ExpireAttempt:
    return c.ExpireAttempt(subject_id=task_id, attempt=attempt, reason="instance_exited")


def stop_instance(instance: str, reason: str = "replaced") -> c.StopInstance:
    return c.StopInstance(subject_id=instance, reason=reason, grace_seconds=1.0)


def issue_key(key_id: str, reason: str = "request") -> c.IssueKey:
    return c.IssueKey(subject_id=key_id, name=key_id, secret_sha256="ab", reason=reason)
