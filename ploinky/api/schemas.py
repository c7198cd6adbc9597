"""The shapes the API answers with and reads. Wire names are camelCase."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

Item = TypeVar("Item")


class Wire(msgspec.Struct, kw_only=True, rename="camel"):
    """Something on the wire."""


class Pagination(Wire):
    """Where in a list this page is."""

    page: int
    per_page: int
    total: int
    pages: int


class Page(Wire, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    pagination: Pagination
    links: dict[str, str | None]


class RolloutShape(Wire):
    """A rollout under way."""

    generation: int
    reason: str
    step: str
    watch_seconds: float | None
    """At the step `verify`: for how long, from its switch on, what serves now is watched before it counts as good."""


class LastRollout(Wire):
    """How the newest ended rollout ended, with its evidence."""

    generation: int
    outcome: Literal["succeeded", "reverted", "failed"]
    step: str
    code: str
    message: str
    hint: str
    exit_code: int | None
    explanation: str
    """The exit code in words; empty when nothing is known."""
    log_tail: str
    probe: str


class InstanceShape(Wire):
    """One container or process."""

    id: str
    deployment: str
    generation: int
    status: str
    is_ready: bool
    is_unobservable: bool
    unknown_since: datetime | None
    """When its engine was first found silent, while it is: `status` is what was last seen."""
    runtime: str
    name: str
    image: str
    created_at: datetime
    exit_code: int | None
    explanation: str
    """How it ended, in words; empty while it has not."""
    reason: str
    """Why it was asked to stop, or how it was seen to have ended; or the code of a start that failed."""


class ExecRequest(Wire, forbid_unknown_fields=True):
    """What `POST /deployments/{id}/exec` reads."""

    command: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]], msgspec.Meta(min_length=1, max_length=256)
    ]
    stdin: str = ""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    """Of `stdin`, and of what is answered. As UTF-8, bytes that are none are replaced."""
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    generation: int | None = None
    """None = the one that serves."""
    instance: int | None = None
    """Its number within the generation; None = the first that runs."""


class ExecShape(Wire):
    """How a command inside an instance ended."""

    instance: str
    exit_code: int
    explanation: str
    stdout: str
    stderr: str
    is_truncated: bool
    is_timed_out: bool


class UsageShape(Wire):
    """What an instance takes of the machine. Null is what its runtime cannot tell."""

    instance: str
    deployment: str
    runtime: str
    cpu_seconds: float | None
    cpu_percent: float | None
    """Of one processor, since the last look; null at the first."""
    memory_bytes: int | None
    memory_limit_bytes: int | None
    pids: int | None
    pids_limit: int | None
    is_unknown: bool
    """Its engine does not answer, or it does not run."""


class TaskCounts(Wire):
    """Open tasks of a deployment."""

    waiting: int
    running: int


class DeploymentShape(Wire):
    """A deployment: what is wanted, and what is."""

    id: str
    domain: str
    path: str
    url: str
    agent: str
    repository: str
    branch: str | None
    revision: str | None
    subfolder: str
    commit: str | None
    runtime: str
    image: str
    kind: Literal["task", "http"] | None
    """Whether requests to its URL become tasks, or go to the agent's own web server; null until that is known."""
    access: str | None
    concurrency: int | None
    replicas: int
    warm_instances: int
    """Beside those that serve: made ready and frozen, for when more are needed."""
    desired: str
    state: str
    generation: int
    rollout: RolloutShape | None
    last_rollout: LastRollout | None
    warnings: list[str]
    progress: str
    instances: list[InstanceShape]
    tasks: TaskCounts
    version: int
    created_at: datetime
    updated_at: datetime


class CredentialsRequest(Wire, forbid_unknown_fields=True):
    """What opens a private repository: a password with its user name, a token, or an ssh key. Never shown again."""

    username: Annotated[str, msgspec.Meta(max_length=255)] = ""
    password: str | None = None
    token: str | None = None
    """Goes as the password, beside any user name."""
    ssh_key: str | None = None


class DeployRequest(Wire, forbid_unknown_fields=True):
    """What `POST /deployments` reads."""

    domain: str
    path: str
    agent: str
    repository: str
    branch: str | None = None
    revision: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    """A tag or a commit, which may be shortened; instead of a branch."""
    subfolder: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    """Stands for the repository's root."""
    credentials: CredentialsRequest | None = None
    runtime: Literal["auto", "docker", "podman", "process"] = "auto"
    image: str | None = None
    access: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    concurrency: int | None = None
    replicas: int | None = None
    """Instances side by side; null = as many as before, else one."""
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    env: dict[str, str] | None = None
    secrets: dict[str, str] | None = None
    """Like `env`, but encrypted at rest and never shown again."""


class TaskError(Wire):
    """Why a task did not succeed."""

    code: str
    message: str
    details: dict[str, Any]


class TaskShape(Wire, omit_defaults=True):
    """A task. No other `state` or `status` stands before its own."""

    id: str
    state: str
    attempt: int
    command: str
    deployment: str
    submitted_at: datetime
    ended_at: datetime | None = None
    result: Any = msgspec.UNSET
    error: TaskError | None = None


class SubmitRequest(Wire, forbid_unknown_fields=True):
    """What `POST /tasks` reads."""

    deployment: str
    command: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    params: list[Any] = []


class TaskAccepted(Wire):
    """A task that goes on by itself."""

    id: str
    state: str
    location: str


class EventShape(Wire):
    """One event of the journal."""

    position: int
    stream: str
    version: int
    type: str
    at: datetime
    actor: str
    correlation: str
    causation: int
    data: dict[str, Any]


class EventPage(Wire):
    """Events after a position; `next` is where to go on."""

    data: list[EventShape]
    next: int


class RouteShape(Wire):
    """Where a deployment answers."""

    domain: str
    path: str
    deployment: str


class SettingShape(Wire):
    """A setting in force."""

    name: str
    value: str | int | float | bool
    is_changed: bool
    """Whether it differs from the configuration."""


class SettingRequest(Wire, forbid_unknown_fields=True):
    """What `PUT /settings/{name}` reads."""

    value: str | int | float | bool


class KeyShape(Wire):
    """An admin key, without its secret."""

    id: str
    name: str
    is_revoked: bool
    created_at: datetime


class NewKeyShape(Wire):
    """A key, shown this once."""

    key_id: str
    key: str


class RecoveryRequest(Wire, forbid_unknown_fields=True):
    """What `POST /keys/recover` reads: the proof of being able to read this installation's key files."""

    issued_at: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    proof: Annotated[str, msgspec.Meta(max_length=200)]


class RuntimeShape(Wire):
    """A runtime of this machine."""

    kind: str
    is_usable: bool
    version: str
    reason: str


class JournalShape(Wire):
    """Where the journal ends."""

    id: str
    position: int
    epoch: int


class DiskShape(Wire):
    """The file system of the data directory."""

    free_bytes: int
    total_bytes: int
    is_low: bool
    """Less is free than `diskWarningBytes` of the configuration."""


class HealthShape(Wire):
    """How the server is."""

    status: str
    version: str
    journal: JournalShape
    disk: DiskShape
    runtimes: list[RuntimeShape]


class Alive(Wire):
    """A probe's answer."""

    status: str
