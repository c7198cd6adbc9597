"""A runtime that runs nothing: instances are entries of a dictionary."""

import queue
import threading
from collections.abc import Callable, Collection, Iterator

import msgspec

from ploinky.adapters.exec_output import ExecOutput
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.domain.specs import PinnedImage
from ploinky.ports.images import BuildSpec, RegistryLogin
from ploinky.ports.runtime import (
    EXEC_OUTPUT_LIMIT_BYTES,
    EXEC_TIMEOUT_SECONDS,
    LABEL_JOURNAL,
    LABEL_SPEC_DIGEST,
    Address,
    Availability,
    Executed,
    Image,
    InstanceSpec,
    LogStream,
    Observation,
    ObservedState,
    Progress,
    Usage,
)

FORCED_EXIT_CODE = 137
MAX_LOG_BYTES = 1024 * 1024
MAX_WAITING_HINTS = 10_000
_ALIVE = frozenset({ObservedState.RUNNING, ObservedState.PAUSED})

Commands = Callable[[tuple[str, ...], bytes], Executed]
BeforeCall = Callable[[str, str], None]
"""Gets the method's name and the instance's, and may raise what the engine shall seem to do."""


def _nothing_happens(_method: str, _name: str) -> None:
    return


def _no_such_command(_command: tuple[str, ...], _stdin: bytes) -> Executed:
    return Executed(127, stderr=b"nothing runs in memory\n")


class _Entry:
    def __init__(self, spec: InstanceSpec, engine_id: str) -> None:
        self.spec = spec
        self.output = b""
        self.written_bytes = 0
        self.observation = Observation(
            name=spec.name, engine_id=engine_id, state=ObservedState.CREATED, labels=dict(spec.labels)
        )


class MemoryStream:
    """A `LogStream` over an entry's output."""

    def __init__(
        self,
        output_after: Callable[[str, int], tuple[bytes, int, bool]],
        name: str,
        tail: bytes,
        changed: threading.Condition,
    ) -> None:
        self._output_after = output_after
        self._name = name
        self._changed = changed
        self._waiting = tail
        self._is_closed = False
        with changed:
            self._seen_bytes = output_after(name, 0)[1]

    def read(self) -> bytes:
        if self._waiting:
            found, self._waiting = self._waiting, b""
            return found
        with self._changed:
            while not self._is_closed:
                found, self._seen_bytes, is_alive = self._output_after(self._name, self._seen_bytes)
                if found or not is_alive:
                    return found
                self._changed.wait()
        return b""

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class MemoryRuntime:
    """Keeps instances in memory; they outlive `close`, as they would an engine's client.

    `before_call` is called first in every method but `check` and `close`, with `("list", journal_id)` where there is
    no instance, and may raise.
    """

    kind = "memory"

    def __init__(self, before_call: BeforeCall = _nothing_happens) -> None:
        self.before_call = before_call
        self.addresses: dict[str, Address] = {}
        """Where instances answer, by name; for tests that let something answer for them."""
        self.networks: set[str] = set()
        """The names of all that instances were made with and that were kept since."""
        self.started: list[str] = []
        """The names of all that were really started, in order: a name twice would be a defect."""
        self.commands: Commands = _no_such_command
        """What commands do: gets one and its input, returns how it ended."""
        self.usage = Usage(cpu_seconds=0.25, memory_bytes=8 * 1024 * 1024, pids=1)
        """What each instance takes; its limits are those of its specification."""
        self.asked: list[tuple[str, bool, RegistryLogin | None]] = []
        """What `resolve_image` was asked for."""
        self.built: list[BuildSpec] = []
        self.kept_images: list[str] = []
        """What `built_images` lists."""
        self.lost_images: set[str] = set()
        """References whose images cannot be restored."""
        self.install_exit_code = 0
        """With which whatever installs dependencies ends, at once."""
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        """Wakes those who follow an output."""
        self._listeners: list[queue.Queue[str | None]] = []
        self._next_id = 1
        self._is_closed = False

    def check(self) -> Availability:
        return Availability(is_usable=True, version="memory, nothing runs", reason="")

    def has_own_users(self) -> bool:
        return False

    def resolve_image(
        self, reference: str, progress: Progress, *, is_renewed: bool = False, login: RegistryLogin | None = None
    ) -> Image:
        self.before_call("resolve_image", reference)
        self.asked.append((reference, is_renewed, login))
        return Image(reference=reference, digest="")

    def restore_image(self, reference: str, pin: PinnedImage, login: RegistryLogin | None = None) -> Image | None:
        self.before_call("restore_image", reference)
        return None if reference in self.lost_images else Image(reference, pin.digest, pin.repository_digest)

    def built_images(self, journal_id: str) -> list[str]:
        return list(self.kept_images)

    def remove_image(self, digest: str) -> None:
        if digest in self.kept_images:
            self.kept_images.remove(digest)

    def build_image(self, spec: BuildSpec, progress: Progress) -> Image:
        self.before_call("build_image", spec.reference)
        self.built.append(spec)
        return Image(reference=spec.reference, digest="")

    def create(self, spec: InstanceSpec) -> str:
        self.before_call("create", spec.name)
        with self._lock:
            entry = self._entries.get(spec.name)
            self.networks |= {spec.network} - {""} if spec.has_network else set()
            if entry is None:
                entry = self._entries[spec.name] = _Entry(spec, f"memory-{self._next_id}")
                self._next_id += 1
            elif entry.spec.labels.get(LABEL_SPEC_DIGEST) != spec.labels.get(LABEL_SPEC_DIGEST):
                raise RuntimeRefused(f"{spec.name} exists with another specification")
        self._hint(entry)
        return entry.observation.engine_id

    def start(self, name: str) -> None:
        self.before_call("start", name)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                raise RuntimeRefused(f"{name} does not exist, so it cannot be started")
            if entry.observation.state is ObservedState.EXITED:
                raise RuntimeRefused(f"{name} has ended and is never started again")
            if entry.observation.state in _ALIVE:
                return
            self.started.append(name)
            entry.observation = msgspec.structs.replace(entry.observation, state=ObservedState.RUNNING)
        self._hint(entry)
        if entry.spec.install_place is not None:
            self.exit(name, self.install_exit_code)

    def pause(self, name: str) -> None:
        self.before_call("pause", name)
        self._switch(name, "paused", ObservedState.PAUSED)

    def resume(self, name: str) -> None:
        self.before_call("resume", name)
        self._switch(name, "resumed", ObservedState.RUNNING)

    def exec(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout_seconds: float = EXEC_TIMEOUT_SECONDS,
        output_limit_bytes: int = EXEC_OUTPUT_LIMIT_BYTES,
    ) -> Executed:
        self.before_call("exec", name)
        entry = self._live(name, "entered")
        if entry.observation.state is ObservedState.PAUSED:
            raise RuntimeRefused(f"{name} is paused, so nothing can run in it")
        done = self.commands(command, stdin)
        output = ExecOutput(output_limit_bytes)
        output.add(done.stdout, is_error=False)
        output.add(done.stderr, is_error=True)
        return output.ended(done.exit_code, is_timed_out=done.is_timed_out)

    def stats(self, name: str) -> Usage | None:
        self.before_call("stats", name)
        with self._lock:
            entry = self._entries.get(name)
        if entry is None or entry.observation.state not in _ALIVE:
            return None
        spec = entry.spec
        return self.usage._replace(memory_limit_bytes=spec.memory_bytes, pids_limit=spec.pids)

    def stop(self, name: str, grace_seconds: float) -> Observation | None:
        self.before_call("stop", name)
        self.exit(name, FORCED_EXIT_CODE)
        with self._lock:
            entry = self._entries.get(name)
            return entry.observation if entry else None

    def remove(self, name: str) -> None:
        self.before_call("remove", name)
        with self._lock:
            entry = self._entries.pop(name, None)
        if entry is not None:
            self._hint(entry)

    def inspect(self, name: str) -> Observation | None:
        self.before_call("inspect", name)
        with self._lock:
            entry = self._entries.get(name)
            return entry.observation if entry else None

    def list(self, journal_id: str) -> list[Observation]:
        self.before_call("list", journal_id)
        with self._lock:
            observations = [entry.observation for entry in self._entries.values()]
        return [found for found in observations if found.labels.get(LABEL_JOURNAL) == journal_id]

    def address(self, name: str, port: int) -> Address:
        self.before_call("address", name)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.spec.http_port != port:
                raise RuntimeRefused(f"{name} has no port {port}")
            if entry.observation.state is not ObservedState.RUNNING:
                raise RuntimeUnavailable(f"{name} does not run")
            return self.addresses.get(name, Address("127.0.0.1", port))

    def logs(self, name: str, tail_lines: int) -> bytes:
        self.before_call("logs", name)
        with self._lock:
            entry = self._entries.get(name)
            output = entry.output if entry else b""
        lines = output[-MAX_LOG_BYTES:].splitlines(keepends=True)
        return b"".join(lines[-tail_lines:]) if tail_lines > 0 else b""

    def follow(self, name: str, tail_lines: int) -> LogStream:
        self.before_call("follow", name)
        return MemoryStream(self._output_after, name, self.logs(name, tail_lines), self._changed)

    def _output_after(self, name: str, seen_bytes: int) -> tuple[bytes, int, bool]:
        """Return what came after so many bytes, how many there are, and whether more may come; needs the lock."""
        entry = self._entries.get(name)
        if entry is None:
            return b"", seen_bytes, False
        fresh = entry.written_bytes - seen_bytes
        output = entry.output[-fresh:] if fresh > 0 else b""
        return output, entry.written_bytes, entry.observation.state in _ALIVE

    def keep_networks(self, journal_id: str, names: Collection[str]) -> None:
        self.before_call("keep_networks", journal_id)
        self.networks = {name for name in self.networks if name in names}

    def events(self, journal_id: str) -> Iterator[str]:
        self.before_call("events", journal_id)
        hints: queue.Queue[str | None] = queue.Queue()
        with self._lock:
            self._listeners.append(hints)
            if self._is_closed:
                hints.put_nowait(None)
        return self._hints_of(journal_id, hints)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            listeners = list(self._listeners)
        for hints in listeners:
            hints.put(None)

    def exit(self, name: str, code: int, *, is_out_of_memory: bool = False) -> None:
        """Let a running instance end, as if by itself; nothing happens to any other."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.observation.state not in _ALIVE:
                return
            entry.observation = msgspec.structs.replace(
                entry.observation, state=ObservedState.EXITED, exit_code=code, is_out_of_memory=is_out_of_memory
            )
        self._hint(entry)

    def write_output(self, name: str, output: bytes) -> None:
        """Let an instance write something for `logs` to find."""
        with self._lock:
            entry = self._entries[name]
            entry.output = (entry.output + output)[-MAX_LOG_BYTES:]
            entry.written_bytes += len(output)
            self._changed.notify_all()

    def _live(self, name: str, done: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise RuntimeRefused(f"{name} does not exist, so it cannot be {done}")
        if entry.observation.state not in _ALIVE:
            raise RuntimeRefused(f"{name} does not run, so it cannot be {done}")
        return entry

    def _switch(self, name: str, done: str, state: ObservedState) -> None:
        with self._lock:
            entry = self._live(name, done)
            entry.observation = msgspec.structs.replace(entry.observation, state=state)
        self._hint(entry)

    def _hint(self, entry: _Entry) -> None:
        with self._lock:
            listeners = list(self._listeners)
            self._changed.notify_all()
        for hints in listeners:
            if hints.qsize() < MAX_WAITING_HINTS:  # hints may be lost, like any engine's; the relist is the truth
                hints.put(entry.spec.name + "\0" + entry.spec.labels.get(LABEL_JOURNAL, ""))

    def _hints_of(self, journal_id: str, hints: queue.Queue[str | None]) -> Iterator[str]:
        try:
            while (hint := hints.get()) is not None:
                name, _, journal = hint.partition("\0")
                if journal == journal_id:
                    yield name
        finally:
            with self._lock:
                self._listeners.remove(hints)
