"""Instances as plain processes of this machine: no engine needed, and no isolation."""

import contextlib
import os
import platform
import secrets
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ploinky.adapters.process_runtime_exec import execute
from ploinky.adapters.process_runtime_files import (
    InstanceFolders,
    InstanceRecord,
    RecordBroken,
    read_exit,
    read_instance,
    read_shim,
)
from ploinky.adapters.process_runtime_follow import ProcessStream
from ploinky.adapters.process_runtime_freeze import freeze, is_frozen, thaw
from ploinky.adapters.process_runtime_identity import ProcessIdentity, end_process, end_survivors, open_process
from ploinky.adapters.process_runtime_inside import measure
from ploinky.adapters.process_runtime_launch import launch_document, read_report, spawn_shim
from ploinky.adapters.process_runtime_logs import newest_lines
from ploinky.adapters.process_runtime_ports import LOOPBACK, FreePorts
from ploinky.adapters.process_runtime_shim import REFUSED
from ploinky.adapters.process_runtime_watch import Bells, watch
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
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

_LIVE = frozenset({ObservedState.RUNNING, ObservedState.PAUSED})
UNKILLABLE_HINT = "It may wait for a disk or a share that does not answer."


class ProcessRuntime:
    """Runs each instance under a small parent process of its own, which outlives the server.

    The agent sees its host folders directly: `AGENT_DIR`, `PLOINKY_QUEUE_DIR` and `PYTHONPATH` are set here. It runs
    as the server's own user whatever `user_id` asks for, and the network is open to it whatever `has_network` says.
    """

    kind = "process"

    def __init__(self, state_directory: Path) -> None:
        self._folders = InstanceFolders(state_directory)
        self._ports = FreePorts()
        self._bells = Bells()
        self._children: set[int] = set()
        self._children_lock = threading.Lock()
        self._finish_what_was_cut_short()

    def check(self) -> Availability:
        if not hasattr(os, "pidfd_open"):
            return Availability(is_usable=False, version="", reason="needs Linux 5.3 or later, for pidfd_open")
        return Availability(is_usable=True, version="processes, no isolation", reason="")

    def has_own_users(self) -> bool:
        return False

    def resolve_image(self, reference: str, progress: Progress) -> Image:
        return Image(reference="", digest=f"{sys.implementation.cache_tag}-{platform.machine()}")

    def create(self, spec: InstanceSpec) -> str:
        digest = spec.labels.get(LABEL_SPEC_DIGEST, "")
        port = self._ports.choose() if spec.http_port else 0
        record = InstanceRecord(spec.name, secrets.token_hex(16), digest, spec.log_path, dict(spec.labels), port)
        if self._folders.add(record, launch_document(spec, record.engine_id, port)):
            return record.engine_id
        folder = self._folders.path(spec.name)
        existing = read_instance(folder) if folder else None
        if existing is None:
            raise RuntimeUnavailable(f"{spec.name} is being removed", hint="Try again.")
        if existing.spec_digest != digest:
            raise RuntimeRefused(f"{spec.name} exists with another specification", found=existing.spec_digest)
        return existing.engine_id

    def start(self, name: str) -> None:
        folder = self._folders.path(name)
        if folder is None:
            raise RuntimeRefused(f"{name} does not exist, so it cannot be started")
        if read_shim(folder) is not None:
            if _state(folder)[0] not in _LIVE:
                raise RuntimeRefused(f"{name} has ended and is never started again")
            return
        pid, reading = spawn_shim(folder)
        with self._children_lock:
            self._children.add(pid)
        report = read_report(reading)
        self._bells.ring()
        if report.startswith(REFUSED):
            raise RuntimeRefused(f"{name} cannot be started: {report.removeprefix(REFUSED)}")
        # Another start may have won: what counts is that somebody runs, or ran, it.
        if read_shim(folder) is None:
            raise RuntimeUnavailable(f"{name} was not started", hint="Was it removed meanwhile, or is the disk full?")

    def pause(self, name: str) -> None:
        folder, shim, _ = self._live(name, "paused")
        if not freeze(folder, shim):
            raise RuntimeRefused(f"{name} cannot be paused: a process of it does not stop", hint=UNKILLABLE_HINT)

    def resume(self, name: str) -> None:
        folder, shim, _ = self._live(name, "resumed")
        thaw(folder, shim)

    def exec(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout_seconds: float = EXEC_TIMEOUT_SECONDS,
        output_limit_bytes: int = EXEC_OUTPUT_LIMIT_BYTES,
    ) -> Executed:
        _, shim, state = self._live(name, "entered")
        if state is ObservedState.PAUSED:
            raise RuntimeRefused(f"{name} is paused, so nothing can run in it")
        return execute(shim.pid, command, stdin, timeout_seconds, output_limit_bytes)

    def stats(self, name: str) -> Usage | None:
        folder = self._folders.path(name)
        shim = read_shim(folder) if folder else None
        is_live = folder is not None and shim is not None and _state(folder)[0] in _LIVE
        return measure(shim.pid) if shim is not None and is_live else None

    def stop(self, name: str, grace_seconds: float) -> Observation | None:
        folder = self._folders.path(name)
        if folder is None:
            return None
        self._end(folder, grace_seconds)
        return self.inspect(name)

    def remove(self, name: str) -> None:
        folder = self._folders.path(name)
        if folder is not None:
            self._end(folder, 0)
        aside = self._folders.set_aside(name)
        if aside is not None:
            self._end(aside, 0)  # a shim may have claimed it between the two lines above
            self._folders.drop(aside)
        self._reap()

    def inspect(self, name: str) -> Observation | None:
        self._reap()
        folder = self._folders.path(name)
        record = read_instance(folder) if folder else None
        return _observe(folder, record) if folder and record else None

    def address(self, name: str, port: int) -> Address:
        folder = self._folders.path(name)
        record = read_instance(folder) if folder else None
        if record is None or not record.port:
            raise RuntimeRefused(f"{name} has no port {port}")
        return Address(LOOPBACK, record.port)

    def list(self, journal_id: str) -> list[Observation]:
        self._reap()
        return [_observe(folder, record) for folder, record in self._of_journal(journal_id)]

    def logs(self, name: str, tail_lines: int) -> bytes:
        folder = self._folders.path(name)
        record = read_instance(folder) if folder else None
        return newest_lines(Path(record.log_path), tail_lines) if record else b""

    def follow(self, name: str, tail_lines: int) -> LogStream:
        folder = self._folders.path(name)
        record = read_instance(folder) if folder else None
        if folder is None or record is None:
            return ProcessStream(Path(os.devnull), None, 0)
        shim = read_shim(folder)
        process = open_process(shim.identity()) if shim is not None else None
        return ProcessStream(Path(record.log_path), process, tail_lines)

    def keep_networks(self, journal_id: str, names: Collection[str]) -> None:
        return

    def events(self, journal_id: str) -> Iterator[str]:
        def open_running(watched: Mapping[str, int]) -> dict[str, int]:
            self._reap()
            running = {}
            for folder, record in self._of_journal(journal_id):
                shim = read_shim(folder) if record.name not in watched else None
                descriptor = open_process(shim.identity()) if shim else None
                if descriptor is not None:
                    running[record.name] = descriptor
            return running

        return watch(self._bells, open_running)

    def close(self) -> None:
        self._bells.close()

    def _live(self, name: str, done: str) -> tuple[Path, ProcessIdentity, ObservedState]:
        folder = self._folders.path(name)
        if folder is None:
            raise RuntimeRefused(f"{name} does not exist, so it cannot be {done}")
        shim, (state, _) = read_shim(folder), _state(folder)
        if shim is None or state not in _LIVE:
            raise RuntimeRefused(f"{name} does not run, so it cannot be {done}")
        return folder, shim.identity(), state

    def _of_journal(self, journal_id: str) -> Iterator[tuple[Path, InstanceRecord]]:
        for name in self._folders.names():
            folder = self._folders.path(name)
            try:
                record = read_instance(folder) if folder else None
            except RecordBroken:
                continue  # whose it is cannot be told, so it is nobody's business
            if folder and record and record.labels.get(LABEL_JOURNAL) == journal_id:
                yield folder, record

    def _finish_what_was_cut_short(self) -> None:
        for folder in self._folders.cut_short():
            with contextlib.suppress(RuntimeRefused):  # a process that cannot be killed must not keep the server down
                self._end(folder, 0)
                self._folders.drop(folder)

    def _end(self, folder: Path, grace_seconds: float) -> None:
        """End whatever runs for this folder; nothing of it is left afterwards."""
        try:
            shim = read_shim(folder)
            if shim is None:
                return
            thaw(folder, shim.identity())  # what is stopped does not hear that it shall end
            self._end_shim(shim.identity(), grace_seconds)
        except RecordBroken:
            pass  # the processes are found by their marker
        try:
            record = read_instance(folder)
        except RecordBroken:
            return  # nothing is left that would tell its processes from others
        if record is not None and not end_survivors(record.engine_id):
            raise RuntimeRefused(f"{record.name} left processes that cannot be killed", hint=UNKILLABLE_HINT)

    def _end_shim(self, identity: ProcessIdentity, grace_seconds: float) -> None:
        descriptor = open_process(identity)
        if descriptor is None:
            return
        try:
            is_ended = end_process(descriptor, grace_seconds)
        finally:
            os.close(descriptor)
        self._reap()
        if not is_ended:
            raise RuntimeRefused("a process cannot be killed", hint=UNKILLABLE_HINT, pid=identity.pid)

    def _reap(self) -> None:
        """Let ended shims go; those of a predecessor are not our children and are reaped by init."""
        with self._children_lock:
            for pid in list(self._children):
                try:
                    ended, _status = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    ended = pid
                if ended:
                    self._children.discard(pid)


def _observe(folder: Path, record: InstanceRecord) -> Observation:
    state, exit_code = _state(folder)
    return Observation(
        name=record.name, engine_id=record.engine_id, state=state, labels=record.labels, exit_code=exit_code
    )


def _state(folder: Path) -> tuple[ObservedState, int | None]:
    try:
        shim = read_shim(folder)
        if shim is None:
            return ObservedState.CREATED, None
        ended = read_exit(folder)
        if ended is None:
            descriptor = open_process(shim.identity())
            if descriptor is not None:
                os.close(descriptor)
                is_paused = is_frozen(folder, shim.identity())
                return ObservedState.PAUSED if is_paused else ObservedState.RUNNING, None
            # Again: the shim writes this before it ends, so now that it is gone the answer is final.
            ended = read_exit(folder)
    except RecordBroken:
        return ObservedState.UNKNOWN, None
    return ObservedState.EXITED, ended.exit_code if ended else None
