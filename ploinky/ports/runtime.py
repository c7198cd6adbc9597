"""Where instances run: a container engine, or plain processes."""

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from ploinky.domain.dependencies import InstallPlace
from ploinky.domain.grants import Grants
from ploinky.domain.specs import PinnedImage
from ploinky.ports.images import BuildSpec, RegistryLogin
from ploinky.ports.logs import LogBounds

Progress = Callable[[str], None]
"""Receives one short line of progress at a time, from the calling thread."""

EXEC_TIMEOUT_SECONDS = 30.0
EXEC_OUTPUT_LIMIT_BYTES = 1024 * 1024
FOLLOW_TAIL_LIMIT_LINES = 10_000

LABEL_JOURNAL = "ploinky.journal"
LABEL_DEPLOYMENT = "ploinky.deployment"
LABEL_GENERATION = "ploinky.generation"
LABEL_INSTANCE = "ploinky.instance"
LABEL_OPERATION = "ploinky.operation"
LABEL_SPEC_DIGEST = "ploinky.spec-digest"
LABEL_EPOCH = "ploinky.epoch"


class Availability(NamedTuple):
    """Whether a runtime can be used here, and why not."""

    is_usable: bool
    version: str
    """What answered, as shown to people: `Docker 20.10.24`; empty when nothing did."""
    reason: str
    """Why it is not usable, as one clause with what to do; empty when it is."""
    reaches_sockets: bool = True
    """Whether a Unix socket that an agent makes in its queue can be spoken to from here."""
    keeps_strangers_apart: bool = True
    """Whether its agents can reach neither the server nor each other; else it runs trusted sources only."""


class Image(NamedTuple):
    """An image as resolved by the engine."""

    reference: str
    digest: str
    """The engine's content id, `sha256:...`; where the runtime has no images, what the code runs on."""
    repository_digest: str = ""
    """`name@sha256:...`, by which a registry gives it again; empty when no registry is known to have it."""


class Address(NamedTuple):
    """Where this server reaches an instance's port. Holds as long as the instance runs."""

    host: str
    port: int


class InstanceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to make one instance."""

    name: str
    """Deterministic: the same instance has the same name for ever, so a repeated create is recognised."""
    labels: Mapping[str, str]
    """All of the `LABEL_*` above."""
    image: str
    """What `resolve_image` returned as reference; empty for the process runtime."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """The agent's environment, complete: nothing of the server's own is inherited."""
    code_directory: str
    """Mounted read-write at `/agent`."""
    agentcore_directory: str
    """The folder that contains the `agentcore` package; mounted read-only at `/agentCore`."""
    queue_directory: str
    """Mounted read-write at `/agent/.ploinky/queue`, its `tasks` and `cancel` read-only."""
    log_path: str
    """Where a runtime without logs of its own writes the output of the instance."""
    log_file_bytes: int = LogBounds().file_bytes
    log_file_count: int = LogBounds().file_count
    user_id: int | None = None
    """The numeric user and group of the agent; None = the server's own."""
    memory_bytes: int = 512 * 1024 * 1024
    cpus: float = 1.0
    pids: int = 256
    has_network: bool = True
    """Outbound network; inbound is never open."""
    http_port: int | None = None
    """Where the agent's own web server listens, where the instance has an address of its own.

    The agent is told `HOST` and `PORT`, the address it has to listen on: this port on all addresses in a container,
    a free one on 127.0.0.1 where instances share the machine's.
    """
    dependencies_directory: str = ""
    """What is installed for the agent, mounted read-only at `/agent-deps` and on its search paths; empty = nothing."""
    install_place: InstallPlace | None = None
    """Given for a throwaway that fills `dependencies_directory`: that folder is then the only one it can write.

    Its command runs in this place; it has no queue, and `/agent` is read-only.
    """
    grants: Grants = Grants()
    """What it has beyond the usual, the sources of its volumes as absolute paths. A process can have none of it."""
    network: str = ""
    """The name of its deployment's own network, made when it is not there; empty = one that all share."""


class ObservedState(StrEnum):
    """What an engine says of an instance."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    UNKNOWN = "unknown"


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one instance."""

    name: str
    engine_id: str
    state: ObservedState
    labels: Mapping[str, str]
    exit_code: int | None = None
    """None while running, and where the runtime cannot know."""
    is_out_of_memory: bool | None = None
    """None where the runtime cannot know."""


class Executed(NamedTuple):
    """How a command inside an instance ended."""

    exit_code: int
    """As shells count it: 128 + signal, 127 for no such command."""
    stdout: bytes = b""
    stderr: bytes = b""
    is_truncated: bool = False
    """More was written than was to be kept; the beginning was."""
    is_timed_out: bool = False
    """It was killed, with everything it had started."""


class Usage(NamedTuple):
    """What an instance has taken of the machine; None is what the runtime cannot tell."""

    cpu_seconds: float | None = None
    """Of all its processes since its start."""
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    """Processes and threads."""
    pids_limit: int | None = None


class LogStream(Protocol):
    """The output of an instance as it comes, both streams."""

    def read(self) -> bytes:
        """Wait for more and return it; empty once the instance has ended and all was read, and after `close`.

        `RuntimeUnavailable` when the engine goes away.
        """

    def close(self) -> None:
        """End a `read` that waits in another thread, and release what it holds. Idempotent."""


class Runtime(Protocol):
    """Run instances. Every method blocks and is called from a pool; each is safe to repeat after a crash.

    **Errors**: `RuntimeUnavailable` (the engine does not answer; retryable), `ImageUnavailable` (with the engine's
    reason), `RuntimeRefused` (the engine answered with an error; its text, shortened, in the details). A time-out is
    `RuntimeUnavailable`, which is no outcome: look with `inspect` before concluding anything.
    """

    kind: str
    """`docker`, `podman`, `process` or `memory`: the name a deployment asks for."""

    def check(self) -> Availability:
        """Ask whether this runtime works here, within 5 seconds, the first time within 20. Never raises."""

    def has_own_users(self) -> bool:
        """Tell whether agents here are users of their own, one for each deployment, and not the server's user.

        Asks nobody. **Raises** `RuntimeUnavailable` when it is not even known where to ask.
        """

    def resolve_image(
        self, reference: str, progress: Progress, *, is_renewed: bool = False, login: RegistryLogin | None = None
    ) -> Image:
        """Make an image available and return it. An empty reference means the runtime's own agent base image.

        `is_renewed` asks the registry first, even if the image is here; what is here serves when it does not answer.
        """

    def restore_image(self, reference: str, pin: PinnedImage, login: RegistryLogin | None = None) -> Image | None:
        """Return exactly the image that a release was first started with; None when it can be had no more.

        Where there are no images, it is whatever there is.
        """

    def built_images(self, journal_id: str) -> list[str]:
        """Return the content ids of the images that were built for this journal, by their label."""

    def remove_image(self, digest: str) -> None:
        """Remove an image that nothing uses. Idempotent; `RuntimeRefused` while a container does."""

    def build_image(self, spec: BuildSpec, progress: Progress) -> Image:
        """Build an image, unless it is there already. `ImageUnavailable` has the last lines as the detail `output`.

        Where there are no images, nothing is built.
        """

    def create(self, spec: InstanceSpec) -> str:
        """Create without starting; return the engine's id.

        Idempotent: when the name exists with the same spec digest its id is returned; with another one it is
        `RuntimeRefused`, for a name belongs to one spec.
        """

    def start(self, name: str) -> None:
        """Start what was created. Idempotent while it lives. `RuntimeRefused` once it has exited: never start twice."""

    def pause(self, name: str) -> None:
        """Let every process of an instance stand still, memory kept, until `resume`, `stop` or `remove`.

        Idempotent. `RuntimeRefused` when it does not exist, was never started or has exited.
        """

    def resume(self, name: str) -> None:
        """Let a paused instance go on. Idempotent while running. `RuntimeRefused` as for `pause`."""

    def exec(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout_seconds: float = EXEC_TIMEOUT_SECONDS,
        output_limit_bytes: int = EXEC_OUTPUT_LIMIT_BYTES,
    ) -> Executed:
        """Run a command inside an instance, as its user, in its folder, with its environment and limits, to its end.

        Not idempotent. The limit holds for each of both streams. `RuntimeRefused` when the instance does not run or
        is paused, and when what ran out of time could not be killed.
        """

    def stats(self, name: str) -> Usage | None:
        """Look at what an instance takes of the machine; None when it does not run, paused ones included."""

    def stop(self, name: str, grace_seconds: float) -> Observation | None:
        """Ask to end, kill after the grace, wait, and return the last look. Idempotent; None when it does not exist."""

    def remove(self, name: str) -> None:
        """Remove, killing it if it still runs. Idempotent."""

    def inspect(self, name: str) -> Observation | None:
        """Look at one; None when it does not exist."""

    def list(self, journal_id: str) -> list[Observation]:
        """Look at all that carry this journal's label, exited ones included."""

    def address(self, name: str, port: int) -> Address:
        """Return where this server reaches `port`, the `http_port` of a running instance.

        Whether anything answers there is for probes to find out. `RuntimeUnavailable` while it is not known,
        `RuntimeRefused` when the instance does not exist or has no such port.
        """

    def logs(self, name: str, tail_lines: int) -> bytes:
        """Return the newest lines of output, both streams, at most 1 MiB. Empty when it does not exist."""

    def follow(self, name: str, tail_lines: int) -> LogStream:
        """Open the output of an instance, from the newest lines on. Empty and over when it does not exist."""

    def keep_networks(self, journal_id: str, names: Collection[str]) -> None:
        """Remove every network of this journal that is not named, unless something uses it still. Idempotent."""

    def events(self, journal_id: str) -> Iterator[str]:
        """Yield the name of an instance whenever something may have happened to it: a hint, never the truth.

        Ends when `close` is called from another thread; raises `RuntimeUnavailable` when the engine goes away.
        """

    def close(self) -> None:
        """End `events` and release connections; instances go on. Idempotent."""
