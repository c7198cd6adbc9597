"""What a deployment should be, and what a release of it is."""

from enum import StrEnum

import msgspec

from ploinky.domain.grants import Grants

PATH_LIMIT_CHARACTERS = 512
DOMAIN_LIMIT_CHARACTERS = 253


class RuntimeChoice(StrEnum):
    """Where a deployment asks to run."""

    AUTO = "auto"
    DOCKER = "docker"
    PODMAN = "podman"
    PROCESS = "process"
    MEMORY = "memory"
    """Runs nothing; for tests and simulations."""


class AccessKind(StrEnum):
    """What opens a private repository."""

    BASIC = "basic"
    """A user name and a password."""
    TOKEN = "token"  # noqa: S105 - a word, no secret
    SSH_KEY = "sshKey"


class SourceAccess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a private repository is entered. The secret itself is known by its version's id."""

    kind: AccessKind
    secret: str
    username: str = ""


class DeploymentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the deployer asked for. What is left out here, the agent's manifest or the defaults decide."""

    agent: str
    repository: str
    """http(s)://, ssh://, user@host:path, file:// or an absolute path; never with credentials."""
    branch: str | None = None
    revision: str | None = None
    """A tag or a commit, which may be shortened. Wins over the branch."""
    subfolder: str = ""
    """Stands for the repository's root."""
    repository_name: str = ""
    """The name it was deployed by, whose credentials are used; empty when it was given as a URL."""
    source_access: SourceAccess | None = None
    """Of this deployment's own; wins over the named repository's."""
    runtime: RuntimeChoice = RuntimeChoice.AUTO
    image: str | None = None
    access: str | None = None
    """`public`, `authenticated`, or a permission."""
    concurrency: int | None = None
    time_limit_seconds: float | None = None
    replicas: int = 1
    """How many instances serve side by side."""
    secrets: dict[str, str] = {}
    """Variables of the agent's environment whose values are secret, each with its version's id."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often an attempt is repeated."""

    lost: int = 3
    """Times after an attempt was lost with its instance."""
    failed: int = 0
    """Times after the handler's own error."""
    backoff_seconds: float = 1.0
    """Before the first repetition; doubles each time, up to five minutes."""


class PinnedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image's reference stood for when a release was first started: every later start uses exactly this."""

    runtime: str
    """Whose image it is; another engine has others."""
    digest: str = ""
    """The engine's content id; where there are no images, what the code runs on."""
    repository_digest: str = ""
    """`name@sha256:...`, by which a registry gives the same image again; empty for one that no registry has."""


START_INTERVAL_SECONDS = 0.05
"""Between two looks at a web server that is starting."""
START_TIMEOUT_SECONDS = 5.0


class ProbeKind(StrEnum):
    """How it is found out whether an instance works."""

    TCP = "tcp"
    HTTP = "http"
    SCRIPT = "script"


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question asked again and again."""

    kind: ProbeKind
    port: int = 0
    """For `tcp` and `http`."""
    path: str = "/"
    """For `http`: a GET of it must be answered with 2xx or 3xx."""
    command: tuple[str, ...] = ()
    """For `script`: run inside the instance, must exit with 0."""
    interval_seconds: float = 5.0
    timeout_seconds: float = 3.0
    failure_threshold: int = 3
    """Failures in a row that count."""
    success_threshold: int = 1
    """Successes in a row that count."""


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a deployment: the spec joined with the manifest of one commit."""

    commit: str
    image: str = ""
    """The reference asked for; empty = the runtime's own agent base image."""
    dockerfile: str = ""
    """The path in the agent's folder of what its image is built from; empty = it is not built here."""
    pin: PinnedImage | None = None
    """Known once the image was ready."""
    dependencies: str = ""
    """A digest of what says what is to be installed; empty = nothing is."""
    access: str = "authenticated"
    concurrency: int = 4
    time_limit_seconds: float = 300.0
    start_limit_seconds: float = 60.0
    """From the creation of an instance until its agent must have said that it is ready."""
    readiness: Probe | None = None
    """What must succeed, besides the agent's own word, before an instance serves."""
    liveness: Probe | None = None
    """What must go on succeeding while an instance serves."""
    idle_timeout_seconds: float = 0.0
    """Without a request for so long, everything of it is stopped; 0 = never."""
    warm_instances: int = 0
    """How many more than serve are started, and frozen until there is work for them."""
    revert_window_seconds: float = 0.0
    """After a switch to a change, for how long what served before is kept to go back to."""
    retries: RetryPolicy = RetryPolicy()
    memory_bytes: int = 512 * 1024 * 1024
    cpus: float = 1.0
    pids: int = 256
    has_network: bool = True
    command: tuple[str, ...] = ("python3", "-m", "agentcore")
    """Empty = what the image itself starts."""
    http_port: int | None = None
    """Where the agent's own web server listens; every request to the route goes there. None = requests are tasks."""
    http_health_path: str | None = None
    """What answers 2xx or 3xx once that server is ready; None = its port being open is enough."""
    takes_tasks: bool = True
    """Whether agentcore, or another runner, takes tasks from the queue."""
    grants: Grants = Grants()
    """What it has beyond the usual container."""
    warnings: tuple[str, ...] = ()
    """What the manifest says that nobody understood."""

    @property
    def readiness_probe(self) -> Probe | None:
        """What must succeed before an instance serves; an agent with a web server has one without asking for it."""
        if self.readiness is not None or self.http_port is None:
            return self.readiness
        kind = ProbeKind.TCP if self.http_health_path is None else ProbeKind.HTTP
        return Probe(
            kind=kind,
            port=self.http_port,
            path=self.http_health_path or "/",
            interval_seconds=START_INTERVAL_SECONDS,
            timeout_seconds=START_TIMEOUT_SECONDS,
        )


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a step ended as it did, recorded before what it speaks of is removed."""

    exit_code: int | None = None
    is_out_of_memory: bool | None = None
    log_tail: str = ""
    """The last lines of output, at most 4 KiB."""
    probe: str = ""
    """What the newest look at it said."""
