"""One fully filled sample of every type of event, as the files in `golden/` hold it.

Samples are added, never changed.
"""

from datetime import UTC, datetime

from ploinky.domain import events as e
from ploinky.domain.payload import PayloadReference
from ploinky.domain.specs import (
    AccessKind,
    DeploymentSpec,
    Evidence,
    Probe,
    ProbeKind,
    Release,
    RetryPolicy,
    RuntimeChoice,
    SourceAccess,
)

AT = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
PAYLOAD = PayloadReference(12, "ab" * 32)
ACCESS = SourceAccess(kind=AccessKind.BASIC, secret="0a1b", username="somebody")
SPEC = DeploymentSpec(
    agent="écho",
    repository="https://git.example/agents.git",
    branch="main",
    revision="v1",
    subfolder="agents",
    repository_name="agents",
    source_access=ACCESS,
    runtime=RuntimeChoice.DOCKER,
    image="echo:1",
    access="public",
    concurrency=2,
    time_limit_seconds=1.5,
    replicas=3,
)
RELEASE = Release(
    commit="c0ffee",
    image="echo:1",
    access="public",
    concurrency=2,
    time_limit_seconds=1.5,
    retries=RetryPolicy(lost=1, failed=2, backoff_seconds=0.5),
    memory_bytes=1024,
    cpus=0.5,
    pids=16,
    has_network=False,
    readiness=Probe(kind=ProbeKind.HTTP, port=80, path="/up", interval_seconds=1.0, success_threshold=2),
    liveness=Probe(kind=ProbeKind.SCRIPT, command=("check",), timeout_seconds=1.0, failure_threshold=5),
    idle_timeout_seconds=60.0,
    revert_window_seconds=5.0,
    warm_instances=2,
    command=("run", "me"),
    warnings=("unknown key",),
)
EVIDENCE = Evidence(exit_code=137, is_out_of_memory=True, log_tail="last\nlines", probe="GET /up: 503")

_DEPLOYMENT: tuple[e.Event, ...] = (
    e.DeploymentRequested(domain="example.com", path="/echo", spec=SPEC, environment=PAYLOAD),
    e.DeploymentUpdated(spec=SPEC, environment=PAYLOAD),
    e.RolloutRequested(generation=2, reason="rollback", release=RELEASE, to_generation=1),
    e.SourceFetched(
        generation=2, release=RELEASE, is_from_cache=True, cache_age_seconds=60.5, cache_reason="no answer"
    ),
    e.ImageReady(generation=2, runtime="docker", image="echo:1", digest="sha256:1", repository_digest="echo@sha256:2"),
    e.DependenciesReady(generation=2, digest="d1", is_cached=True, seconds=1.5),
    e.DeploymentSwitched(
        generation=2, release=RELEASE, runtime="docker", image="echo:1", switched_at=AT, verify_until=AT
    ),
    e.DeploymentReverted(generation=2, to_generation=1),
    e.RolloutSucceeded(generation=2),
    e.RolloutFailed(
        generation=2, step="start", code="CODE", message="why", hint="do", evidence=EVIDENCE, is_reverted=True
    ),
    e.RestartScheduled(due_at=AT, failures=3),
    e.ReplacementStarted(generation=2),
    e.DeploymentScaled(replicas=3),
    e.DeploymentIdled(),
    e.DeploymentWoken(),
    e.DeploymentStopRequested(),
    e.RemovalRequested(),
    e.DiscardRequested(),
    e.DeploymentRemoved(),
)
_INSTANCE: tuple[e.Event, ...] = (
    e.InstanceCreated(
        deployment_id="d1",
        generation=2,
        number=0,
        runtime="docker",
        name="n",
        image="echo:1",
        release=RELEASE,
        dependencies="d1",
    ),
    e.InstanceStarted(engine_id="engine-1", queue_identity="1:2:3"),
    e.InstanceStartFailed(code="CODE", message="why", hint="do"),
    e.InstanceReady(),
    e.InstancePaused(),
    e.InstanceResumed(),
    e.InstancePauseRequested(),
    e.InstanceResumeRequested(),
    e.InstanceStopRequested(reason="replaced", grace_seconds=10.0),
    e.InstanceStopped(reason="exited", evidence=EVIDENCE),
    e.InstanceRemoveRequested(),
    e.InstanceRemoved(),
    e.ExecRequested(program="ls", argument_count=2),
    e.InstanceUnobservable(reason="away", since=AT),
    e.InstanceObservedAgain(),
    e.OrphanFound(runtime="docker", name="stray"),
)
_TASK: tuple[e.Event, ...] = (
    e.TaskSubmitted(
        deployment_id="d1",
        command="run",
        params=PAYLOAD,
        metadata=PAYLOAD,
        time_limit_seconds=1.5,
        lost_retries=3,
        failed_retries=2,
        backoff_seconds=0.5,
        idempotency="key",
        request_digest="digest",
    ),
    e.AttemptStarted(attempt=1, instance_id="d1.2.0", transport="file", deadline_at=AT),
    e.TaskClaimed(attempt=1),
    e.AttemptExpired(attempt=1, reason="failed", code="CODE", message="why", retry_at=AT),
    e.CancelRequested(),
    e.TaskSucceeded(attempt=1, result=PAYLOAD, claimed_at=AT),
    e.TaskFailed(attempt=1, code="CODE", message="why", error_details=PAYLOAD, claimed_at=AT),
    e.TaskCancelled(),
    e.TaskDead(code="TASK_LOST", message="why"),
    e.ResultLate(attempt=1),
    e.ResultQuarantined(attempt=1, reason="a link"),
)
_REST: tuple[e.Event, ...] = (
    e.RepositoryAdded(
        url="https://git.example/agents.git", branch="main", access=ACCESS, webhook_secret="2c3d", poll_seconds=60
    ),
    e.RepositoryChanged(access=ACCESS, webhook_secret="2c3d", poll_seconds=60),
    e.RepositoryPushed(origin="github", branch="main", commit="c0ffee", delivery="4e5f", deployments=("d1", "d2")),
    e.RepositoryRemoved(),
    e.RegistryAdded(username="robot", secret="3d4e"),
    e.RegistryRemoved(),
    e.KeyIssued(name="first", secret_sha256="cd" * 32, reason="init"),
    e.KeyRevoked(),
    e.SettingChanged(name="taskTimeout", value=30.0),
)

SAMPLES: dict[tuple[str, int], e.Event] = {
    (sample.TYPE, sample.SCHEMA): sample for sample in (*_DEPLOYMENT, *_INSTANCE, *_TASK, *_REST)
}
"""By type and schema. When a schema grows, the file of the older one stays and is expected to be lifted."""
