"""A digest of what the folds make of a small history in which every type of event occurs.

A snapshot carries it: views that were made by other folds, or kept in another shape, are built anew. Nobody has to
remember to raise a version.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

from ploinky.domain import events as e
from ploinky.domain.ids import split_stream
from ploinky.domain.payload import PayloadReference
from ploinky.domain.specs import AccessKind, DeploymentSpec, Evidence, Release, SourceAccess
from ploinky.journal.codec import NO_PAYLOADS, Recorded
from ploinky.views.views import Views

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)

_SPEC = DeploymentSpec(agent="echo", repository="file:///agents", branch="main", concurrency=2)
_RELEASE = Release(commit="c1", image="echo:1", concurrency=2, dependencies="needs")
_PAYLOAD = PayloadReference(2, "digest")
_END = Evidence(exit_code=1, is_out_of_memory=False, log_tail="last line")


def _created(generation: int) -> e.InstanceCreated:
    return e.InstanceCreated(
        deployment_id="d1", generation=generation, number=0, runtime="memory", name="echo", release=_RELEASE
    )


def _deployments() -> Iterator[tuple[str, e.Event]]:
    for deployment_id, path in (("d1", "/one"), ("d2", "/two"), ("d3", "/three")):
        stream = f"deployment/{deployment_id}"
        yield stream, e.DeploymentRequested(domain="*", path=path, spec=_SPEC, environment=_PAYLOAD)
        yield stream, e.RolloutRequested(generation=1, reason="deploy")
    yield "deployment/d1", e.SourceFetched(generation=1, release=_RELEASE)
    yield "deployment/d1", e.ImageReady(generation=1, runtime="memory", image="echo:1", digest="i1")
    yield "deployment/d1", e.DependenciesReady(generation=1, digest="f1", seconds=1.0)
    yield "instance/d1.1.0", _created(1)
    yield "instance/d1.1.0", e.InstanceStarted(engine_id="e1", queue_identity="q1")
    yield "instance/d1.1.0", e.InstanceReady()
    yield (
        "deployment/d1",
        e.DeploymentSwitched(generation=1, release=_RELEASE, runtime="memory", image="echo:1", switched_at=BEGINNING),
    )
    yield "deployment/d1", e.RolloutSucceeded(generation=1)
    failed = e.RolloutFailed(generation=1, step="source", code="CODE", message="why", hint="do", evidence=_END)
    yield "deployment/d2", failed
    yield "deployment/d2", e.DeploymentStopRequested()
    yield "deployment/d3", e.RemovalRequested()
    yield "deployment/d3", e.DiscardRequested()
    yield "deployment/d3", e.DeploymentRemoved()


def _tasks() -> Iterator[tuple[str, e.Event]]:
    due_at = BEGINNING + timedelta(seconds=60)
    for number in range(1, 7):
        submitted = e.TaskSubmitted(
            deployment_id="d1",
            command="run",
            params=_PAYLOAD,
            metadata=_PAYLOAD,
            time_limit_seconds=60.0,
            lost_retries=3,
            failed_retries=1,
            backoff_seconds=1.0,
            idempotency=f"key-{number}",
            request_digest="request",
        )
        started = e.AttemptStarted(attempt=1, instance_id="d1.1.0", transport="file", deadline_at=due_at)
        yield f"task/t{number}", submitted
        yield f"task/t{number}", started
    lost = e.AttemptExpired(attempt=1, reason="instance_gone", code="TASK_LOST", message="lost", retry_at=due_at)
    failed = e.AttemptExpired(attempt=1, reason="failed", code="CODE", message="no", retry_at=due_at)
    yield "task/t1", e.TaskClaimed(attempt=1)
    yield "task/t1", e.TaskSucceeded(attempt=1, result=_PAYLOAD, claimed_at=BEGINNING)
    yield "task/t2", e.TaskFailed(attempt=1, code="CODE", message="no", error_details=_PAYLOAD)
    yield "task/t3", e.CancelRequested()
    yield "task/t3", e.TaskCancelled()
    yield "task/t4", lost
    yield "task/t4", e.TaskDead(code="TASK_LOST", message="lost")
    yield "task/t4", e.ResultLate(attempt=1)
    yield "task/t5", e.ResultQuarantined(attempt=1, reason="a link")
    yield "task/t6", failed


def _ends() -> Iterator[tuple[str, e.Event]]:
    yield "instance/d1.1.0", e.InstancePauseRequested()
    yield "instance/d1.1.0", e.InstancePaused()
    yield "instance/d1.1.0", e.InstanceResumeRequested()
    yield "instance/d1.1.0", e.InstanceResumed()
    yield "instance/d1.1.0", e.ExecRequested(program="ls", argument_count=1)
    yield "instance/d1.1.0", e.InstanceUnobservable(reason="away", since=BEGINNING)
    yield "deployment/d1", e.DeploymentUpdated(spec=msgspec.structs.replace(_SPEC, branch="next"), environment=_PAYLOAD)
    yield "deployment/d1", e.RolloutRequested(generation=2, reason="update", release=_RELEASE)
    yield "instance/d1.2.0", _created(2)
    yield "instance/d1.2.0", e.InstanceStartFailed(code="CODE", message="no", hint="do")
    yield "instance/d1.3.0", _created(3)
    yield "instance/d1.3.0", e.InstanceRemoveRequested()
    yield "instance/d1.3.0", e.InstanceRemoved()
    yield "instance/d1.1.0", e.InstanceObservedAgain()
    yield "instance/d1.1.0", e.InstanceStopRequested(reason="overdue", grace_seconds=1.0)
    yield "instance/stray", e.OrphanFound(runtime="memory", name="stray")
    yield "instance/stray", e.InstanceStopped(reason="exited", evidence=_END)
    yield "deployment/d1", e.DeploymentScaled(replicas=2)
    restart = e.RestartScheduled(due_at=BEGINNING + timedelta(seconds=2), failures=2)
    yield "deployment/d1", e.RolloutFailed(generation=2, step="start", code="CODE", message="no")
    yield "deployment/d1", restart
    yield "deployment/d1", e.ReplacementStarted(generation=1)
    yield "deployment/d1", e.DeploymentIdled()
    yield "deployment/d1", e.DeploymentWoken()
    yield "deployment/d1", e.RolloutRequested(generation=3, reason="rollback", release=_RELEASE, to_generation=1)
    yield "deployment/d1", e.ImageReady(generation=3, runtime="memory", image="echo:1", digest="i1")
    until = BEGINNING + timedelta(seconds=5)
    switched = e.DeploymentSwitched(
        generation=3, release=_RELEASE, runtime="memory", switched_at=BEGINNING, verify_until=until
    )
    yield "deployment/d1", switched
    yield "deployment/d1", e.DeploymentReverted(generation=3, to_generation=1)
    yield "deployment/d1", e.RolloutFailed(generation=3, step="verify", code="CODE", message="no", is_reverted=True)


def _rest() -> Iterator[tuple[str, e.Event]]:
    yield "repository/agents", e.RepositoryAdded(url="file:///agents", branch="main")
    yield "repository/gone", e.RepositoryAdded(url="file:///gone")
    access = SourceAccess(kind=AccessKind.TOKEN, secret="s1")  # noqa: S106 - a version's id
    yield "repository/agents", e.RepositoryChanged(access=access, webhook_secret="s2", poll_seconds=60)  # noqa: S106
    pushed = e.RepositoryPushed(origin="github", branch="main", commit="c2", delivery="x", deployments=("d1",))
    yield "repository/agents", pushed
    yield "repository/gone", e.RepositoryRemoved()
    added = e.RegistryAdded(username="robot", secret="s3")  # noqa: S106 - a version's id
    yield "registry/images.example.com", added
    yield "registry/gone.example.com", added
    yield "registry/gone.example.com", e.RegistryRemoved()
    yield "access/k1", e.KeyIssued(name="first", secret_sha256=_PAYLOAD.digest, reason="init")
    yield "access/k2", e.KeyIssued(name="second", secret_sha256=_PAYLOAD.digest, reason="request")
    yield "access/k2", e.KeyRevoked()
    yield "settings/main", e.SettingChanged(name="taskTimeout", value=30.0)


def golden_history() -> list[Recorded]:
    """Return the history, one second apart."""
    versions: dict[str, int] = {}
    history = []
    for position, (stream, event) in enumerate((*_deployments(), *_tasks(), *_ends(), *_rest()), start=1):
        versions[stream] = version = versions.get(stream, 0) + 1
        kind, subject_id = split_stream(stream)
        at = BEGINNING + timedelta(seconds=position)
        origin = ("key:k1", "request-1", position - 1)
        history.append(Recorded(position, kind, subject_id, version, at, *origin, event, NO_PAYLOADS))
    return history


def fold_digest() -> str:
    """Return the SHA-256, in hex, of all that the views were while they took the history in."""
    views, digest = Views(), sha256()
    for recorded in golden_history():
        views.fold([recorded])
        # After each event: a later one may hide what this one changed.
        digest.update(msgspec.json.encode(views.dump(), order="sorted"))
    return digest.hexdigest()
