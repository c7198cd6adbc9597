"""Instances as processes of this machine: no engine needed, and kept apart as well as the machine allows."""

import contextlib
import os
import platform
import secrets
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ploinky.adapters.process_runtime_confinement import Confinement, find_confinement
from ploinky.adapters.process_runtime_exec import Entrance, execute
from ploinky.adapters.process_runtime_files import (
    ExitRecord,
    InstanceFolders,
    InstanceRecord,
    RecordBroken,
    make_passage,
    read_exit,
    read_instance,
    read_shim,
)
from ploinky.adapters.process_runtime_follow import ProcessStream
from ploinky.adapters.process_runtime_freeze import freeze, is_frozen, thaw
from ploinky.adapters.process_runtime_identity import ProcessIdentity, end_process, end_survivors, open_process
from ploinky.adapters.process_runtime_inside import measure
from ploinky.adapters.process_runtime_launch import plan_launch, read_report, refuse_unreachable, spawn_shim
from ploinky.adapters.process_runtime_logs import newest_lines
from ploinky.adapters.process_runtime_ports import LOOPBACK, FreePorts
from ploinky.adapters.process_runtime_shim import REFUSED, clear_away
from ploinky.adapters.process_runtime_watch import Bells, watch
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

_LIVE = frozenset({ObservedState.RUNNING, ObservedState.PAUSED})
UNKILLABLE_HINT = "It may wait for a disk or a share that does not answer."


class ProcessRuntime:
    """Runs each instance under a small parent process of its own, which outlives the server.

    Run by root, each agent gets the user that `user_id` asks for. With bubblewrap it gets a sandbox with the paths of
    a container; else it sees its host folders directly and `has_network` has no effect. Either way `AGENT_DIR`,
    `PLOINKY_QUEUE_DIR` and `PYTHONPATH` are set here.
    """

    kind = "process"

    def __init__(
        self, state_directory: Path, *, temporary_directory: Path | None = None, uses_sandbox: bool = True
    ) -> None:
        """Take where records are kept, and agents' temporary files where there is no sandbox to hold them.

        The users of agents have to be able to pass through the second (default: beside the records).
        """
        self._folders = InstanceFolders(state_directory)
        self._ports = FreePorts()
        self._temporary = temporary_directory or state_directory / ".temporary"
        self._uses_sandbox = uses_sandbox
        self._bells = Bells()
        self._children: set[int] = set()
        self._children_lock = threading.Lock()
        self._finish_what_was_cut_short()

    @property
    def confinement(self) -> Confinement:
        """What agents are kept from on this machine; found out on the first call."""
        return find_confinement(uses_sandbox=self._uses_sandbox)

    def check(self) -> Availability:
        if not hasattr(os, "pidfd_open"):
            return Availability(is_usable=False, version="", reason="needs Linux 5.3 or later, for pidfd_open")
        confinement = self.confinement
        if confinement.python is None:
            return Availability(is_usable=False, version="", reason=confinement.why_no_python)
        return Availability(
            is_usable=True, version=str(confinement), reason="", keeps_strangers_apart=confinement.keeps_apart
        )

    def has_own_users(self) -> bool:
        return os.geteuid() == 0

    def restore_image(self, reference: str, pin: PinnedImage, login: RegistryLogin | None = None) -> Image | None:
        return self._python()

    def built_images(self, journal_id: str) -> list[str]:
        return []

    def remove_image(self, digest: str) -> None:
        return

    def build_image(self, spec: BuildSpec, progress: Progress) -> Image:
        return self._python()

    def resolve_image(
        self, reference: str, progress: Progress, *, is_renewed: bool = False, login: RegistryLogin | None = None
    ) -> Image:
        return self._python()

    def _python(self) -> Image:
        python = self.confinement.python
        version = python.version if python else sys.version_info
        tag = f"{sys.implementation.name}-{version[0]}{version[1]}"
        return Image(reference="", digest=f"{tag}-{platform.machine()}")

    def create(self, spec: InstanceSpec) -> str:
        digest = spec.labels.get(LABEL_SPEC_DIGEST, "")
        refuse_unreachable(spec, self.confinement)
        engine_id = secrets.token_hex(16)
        port = self._ports.choose() if spec.http_port else 0
        launch = plan_launch(spec, engine_id, self.confinement, self._temporary / spec.name, port)
        record = InstanceRecord(
            name=spec.name,
            engine_id=engine_id,
            spec_digest=digest,
            log_path=spec.log_path,
            labels=dict(spec.labels),
            port=port,
            groups=launch.groups,
            temporary=launch.temporary,
        )
        if launch.temporary:
            make_passage(self._temporary)
        if self._folders.add(record, launch.document):
            return engine_id
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
        folder, shim, state = self._live(name, "entered")
        record = read_instance(folder)
        if state is ObservedState.PAUSED or record is None:
            raise RuntimeRefused(f"{name} is paused, so nothing can run in it")
        entrance = Entrance(shim.pid, record.groups, self.confinement.python)
        return execute(entrance, command, stdin, timeout_seconds, output_limit_bytes)

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
        if record is None:
            return
        if not end_survivors(record.engine_id, record.groups):
            raise RuntimeRefused(f"{record.name} left processes that cannot be killed", hint=UNKILLABLE_HINT)
        clear_away(record.groups, record.temporary)

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
    state, ended = _state(folder)
    return Observation(
        name=record.name,
        engine_id=record.engine_id,
        state=state,
        labels=record.labels,
        exit_code=ended.exit_code if ended else None,
        is_out_of_memory=ended.is_out_of_memory if ended else None,
    )


def _state(folder: Path) -> tuple[ObservedState, ExitRecord | None]:
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
    return ObservedState.EXITED, ended
