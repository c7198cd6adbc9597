"""Instances as hardened containers of Docker, or of Podman through its Docker-compatible socket."""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from ploinky.adapters.docker_runtime_address import Reach, addresses_of, reachable_address, with_published_port
from ploinky.adapters.docker_runtime_client import CALL_TIMEOUT_SECONDS, SILENCE_TIMEOUT_SECONDS, Connections
from ploinky.adapters.docker_runtime_container import (
    container_config,
    observe_inspected,
    observe_listed,
)
from ploinky.adapters.docker_runtime_dialects import DOCKER, PODMAN, Dialect
from ploinky.adapters.docker_runtime_errors import (
    CONFLICT,
    NOT_FOUND,
    advice_for,
    reason_of,
    status_of,
    translate,
    translated,
)
from ploinky.adapters.docker_runtime_events import hints
from ploinky.adapters.docker_runtime_exec import execute
from ploinky.adapters.docker_runtime_findings import FindingsRecord
from ploinky.adapters.docker_runtime_follow import ContainerStream
from ploinky.adapters.docker_runtime_identity import Identity, engine_user_id, identity_of, is_selinux_enforcing
from ploinky.adapters.docker_runtime_image_calls import EngineImages
from ploinky.adapters.docker_runtime_images import DEFAULT_IMAGE, Images
from ploinky.adapters.docker_runtime_networks import DEFAULT_POOL, Networks
from ploinky.adapters.docker_runtime_places import refuse_missing_folders
from ploinky.adapters.docker_runtime_stats import read_usage
from ploinky.adapters.docker_runtime_trial import Findings, try_out
from ploinky.domain.errors import PloinkyError, RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import (
    EXEC_OUTPUT_LIMIT_BYTES,
    EXEC_TIMEOUT_SECONDS,
    LABEL_JOURNAL,
    LABEL_SPEC_DIGEST,
    Address,
    Availability,
    Executed,
    InstanceSpec,
    LogStream,
    Observation,
    ObservedState,
    Usage,
)

CHECK_TIMEOUT_SECONDS = 4.5
"""Podman asks its helpers for their versions, which takes seconds on a busy machine."""
NAME_WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
STATE_WAIT_SECONDS = 5.0
MAX_LOG_BYTES = 1024 * 1024
MAX_LOG_LINES = 100_000
_LIVE = frozenset({ObservedState.RUNNING, ObservedState.PAUSED})


class DockerRuntime(EngineImages):
    """Runs each instance as one container, made once, started once, never restarted in place.

    A container of the same name without our journal label does not exist for us: it is never shown nor touched.
    """

    kind = DOCKER.kind
    dialect: Dialect = DOCKER

    def __init__(
        self,
        base_url: str | None = None,
        *,
        default_image: str = DEFAULT_IMAGE,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        silence_seconds: float = SILENCE_TIMEOUT_SECONDS,
        trial_folder: Path | None = None,
        findings_file: Path | None = None,
        network_pool: IPv4Network | None = DEFAULT_POOL,
    ) -> None:
        """Take where the engine listens (default: what the environment says, or the usual socket).

        `trial_folder` is made beside the agents' queues for finding out what the engine can do, by default a temporary
        one; `findings_file` keeps what came out. Deployments' networks come from `network_pool`; without one all agents
        share the engine's own. Nothing is opened yet.
        """
        self._connections = Connections(self.dialect, base_url, timeout_seconds, silence_seconds)
        self._networks = Networks(self._connections.client, self.dialect, network_pool)
        self._images = Images(self._connections.client, default_image)
        self._trial_folder = trial_folder
        self._findings = FindingsRecord(findings_file)
        self._has_init = True
        """Until a creation shows that the engine has none."""
        self._reach = Reach()

    def check(self) -> Availability:
        try:
            answer = self._connections.ask_version(CHECK_TIMEOUT_SECONDS)
            version = f"{self.dialect.title} {answer['Version']}"
            found = self._find_out(version)
            if found is not None and found.problem:
                reason = f"{version} answers, but runs no agents: {found.problem}. {found.hint}".rstrip()
                return Availability(is_usable=False, version=version, reason=reason)
            return Availability(True, version, "", reaches_sockets=found.reaches_sockets if found else True)
        except Exception as error:  # noqa: BLE001 - whatever hinders it is the answer
            advice = error.advice if isinstance(error, PloinkyError) else advice_for(error)
            reason = f"no {self.dialect.title} answers ({reason_of(error)}). {advice}"
            return Availability(is_usable=False, version="", reason=reason)

    def has_own_users(self) -> bool:
        return self._identity() is Identity.ALLOCATED

    def create(self, spec: InstanceSpec) -> str:
        client = self._connections.client()
        is_published = spec.http_port is not None and not self._reach.is_direct(client)
        path = self._images.path_in(spec.image) if spec.dependencies_directory else ""
        deadline = time.monotonic() + NAME_WAIT_SECONDS
        if self.dialect.makes_missing_folders or is_selinux_enforcing():
            refuse_missing_folders(spec)
        network = self._networks.mode_for(spec)
        while True:
            try:
                config = container_config(spec, self.dialect, self._identity(), network, path, has_init=self._has_init)
                if is_published:
                    config = with_published_port(config, spec.http_port or 0)
                engine_id = str(client.create_container_from_config(config, spec.name)["Id"])
                self._networks.join(spec, engine_id)
                return engine_id
            except Exception as error:
                if self._has_init and self.dialect.has_no_init(error):
                    self._has_init = False
                    continue
                if not self.dialect.is_name_taken(error):
                    raise translate(f"create {spec.name}", error) from error
            found = self._look(spec.name)
            if found is not None:
                engine_id = self._adopt(spec, found)
                self._networks.join(spec, engine_id)
                return engine_id
            # The engine reserves a name before it shows the container, and frees it after hiding it.
            if time.monotonic() > deadline:
                raise RuntimeUnavailable(f"the name {spec.name} stays reserved", hint="Look at the engine's own log.")
            time.sleep(POLL_SECONDS)

    def start(self, name: str) -> None:
        found = self.inspect(name)
        if found is None:
            raise RuntimeRefused(f"{name} does not exist, so it cannot be started")
        if found.state in {ObservedState.RUNNING, ObservedState.PAUSED}:
            return
        if found.state is not ObservedState.CREATED:
            raise RuntimeRefused(f"{name} has ended and is never started again")
        try:
            self._connections.client().start(found.engine_id)
        except Exception as error:
            # No answer is no outcome, and an error may come late: only what is there now counts.
            now = self.inspect(name)
            if now is None or now.state in {ObservedState.CREATED, ObservedState.UNKNOWN}:
                raise _as_ours(f"start {name}", error) from error

    def pause(self, name: str) -> None:
        self._switch(name, "pause", ObservedState.PAUSED)

    def resume(self, name: str) -> None:
        self._switch(name, "unpause", ObservedState.RUNNING)

    def exec(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout_seconds: float = EXEC_TIMEOUT_SECONDS,
        output_limit_bytes: int = EXEC_OUTPUT_LIMIT_BYTES,
    ) -> Executed:
        found = self._live(name, "entered")
        if found.state is ObservedState.PAUSED:
            raise RuntimeRefused(f"{name} is paused, so nothing can run in it")
        client = self._connections.client()
        return execute(client, found.engine_id, command, stdin, timeout_seconds, output_limit_bytes)

    def stats(self, name: str) -> Usage | None:
        found = self.inspect(name)
        if found is None or found.state not in _LIVE:
            return None
        client = self._connections.client()
        try:
            with translated(f"measure {name}"):
                # Otherwise the engine waits for a second look of its own, for a second.
                return read_usage(client.stats(found.engine_id, stream=False, one_shot=True))
        except RuntimeRefused:
            now = self.inspect(name)
            if now is None or now.state not in _LIVE:
                return None
            raise

    def _live(self, name: str, done: str) -> Observation:
        found = self.inspect(name)
        if found is None:
            raise RuntimeRefused(f"{name} does not exist, so it cannot be {done}")
        if found.state not in _LIVE:
            raise RuntimeRefused(f"{name} does not run, so it cannot be {done}")
        return found

    def _switch(self, name: str, method: str, wanted: ObservedState) -> None:
        found = self._live(name, f"{method}d")
        if found.state is wanted:
            return
        try:
            getattr(self._connections.client(), method)(found.engine_id)
        except Exception as error:
            now = self.inspect(name)  # no answer is no outcome, and somebody else may have done it
            if now is None or now.state is not wanted:
                raise _as_ours(f"{method} {name}", error) from error

    def stop(self, name: str, grace_seconds: float) -> Observation | None:
        found = self.inspect(name)
        if found is None or found.state in {ObservedState.EXITED, ObservedState.CREATED}:
            return found
        if found.state is ObservedState.PAUSED:
            with contextlib.suppress(RuntimeRefused):  # it may have ended meanwhile; the stop will tell
                self.resume(name)  # not every engine stops what is paused
        client = self._connections.client()
        try:
            self._insist(lambda: client.stop(found.engine_id, timeout=max(0, math.ceil(grace_seconds))))
        except Exception as error:
            if status_of(error) != NOT_FOUND:
                raise translate(f"stop {name}", error) from error
        return self.inspect(name)

    def remove(self, name: str) -> None:
        found = self.inspect(name)
        if found is None:
            return
        client = self._connections.client()
        try:
            self._insist(lambda: client.remove_container(found.engine_id, v=True, force=True))
        except Exception as error:
            if status_of(error) == CONFLICT:
                self._await_removal(client, found)  # somebody else's removal is going on
            elif status_of(error) != NOT_FOUND:
                raise translate(f"remove {name}", error) from error

    def inspect(self, name: str) -> Observation | None:
        found = self._look(name)
        return found if found is not None and LABEL_JOURNAL in found.labels else None

    def list(self, journal_id: str) -> list[Observation]:
        client = self._connections.client()
        with translated("list containers"):
            answer = client.containers(all=True, filters={"label": f"{LABEL_JOURNAL}={journal_id}"})
        found = []
        for listed in observe_listed(answer):
            if listed.labels.get(LABEL_JOURNAL) != journal_id:
                continue
            # Only an inspect tells how it ended.
            look = self.inspect(listed.name) if listed.state is ObservedState.EXITED else listed
            if look is not None:
                found.append(look)
        return found

    def address(self, name: str, port: int) -> Address:
        found = self.inspect(name)
        if found is None:
            raise RuntimeRefused(f"{name} does not exist, so it has no address")
        with translated(f"look up the address of {name}"):
            answer = self._connections.client().inspect_container(found.engine_id)
        return reachable_address(name, addresses_of(answer, port))

    def logs(self, name: str, tail_lines: int) -> bytes:
        found = self.inspect(name)
        if found is None or tail_lines <= 0:
            return b""
        client = self._connections.client()
        newest = b""
        with translated(f"read the logs of {name}"):
            try:
                lines = client.logs(found.engine_id, stream=True, follow=False, tail=min(tail_lines, MAX_LOG_LINES))
                for piece in lines:
                    newest = (newest + piece)[-MAX_LOG_BYTES:]
            except Exception as error:
                if status_of(error) != NOT_FOUND:
                    raise
        return newest

    def follow(self, name: str, tail_lines: int) -> LogStream:
        found = self.inspect(name)
        last_line = self.logs(name, 1) if tail_lines <= 0 else b""
        return ContainerStream(self._connections, name, found.engine_id if found else "", tail_lines, last_line)

    def keep_networks(self, journal_id: str, names: Collection[str]) -> None:
        self._networks.keep(journal_id, names)

    def events(self, journal_id: str) -> Iterator[str]:
        return hints(self._connections, journal_id)

    def close(self) -> None:
        self._connections.close()

    def _identity(self) -> Identity:
        return identity_of(self.kind, engine_user_id(self._connections.base_url()), os.geteuid())

    def _find_out(self, version: str) -> Findings | None:
        """Return what a trial found out, held once the engine has an image for it; None before."""
        engine = f"{version} at {self._connections.base_url()} for user {os.geteuid()}"

        def find_out() -> Findings | None:
            image = self._images.base_here()
            if image is None:
                return None
            folder = self._trial_folder or Path(tempfile.mkdtemp(prefix="ploinky-trial-"))
            return try_out(self, Findings(engine=engine, identity=self._identity()), image.reference, folder)

        return self._findings.get(engine, find_out)

    def _look(self, name: str) -> Observation | None:
        """Look at whatever has this name, also what is not ours."""
        client = self._connections.client()
        try:
            answer = client.inspect_container(name)
        except Exception as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise translate(f"inspect {name}", error) from error
        found = observe_inspected(answer, can_tell_out_of_memory=self.dialect.can_tell_out_of_memory)
        return found if found.name == name else None  # the engine also finds by the beginning of an id

    def _adopt(self, spec: InstanceSpec, found: Observation) -> str:
        """Return the id of the container that has the name already, if it was made from the same specification."""
        if LABEL_JOURNAL not in found.labels:
            raise RuntimeRefused(
                f"the name {spec.name} is taken by a container that is not ours",
                hint=f"See `{self.dialect.program} inspect {spec.name}`; rename or remove it.",
            )
        if found.labels.get(LABEL_SPEC_DIGEST) != spec.labels.get(LABEL_SPEC_DIGEST):
            raise RuntimeRefused(f"{spec.name} exists with another specification", engine_id=found.engine_id)
        return found.engine_id

    def _insist(self, call: Callable[[], object]) -> None:
        """Call again as long as the container is between two states. Raises what the library raises."""
        deadline = time.monotonic() + STATE_WAIT_SECONDS
        while True:
            try:
                call()
            except Exception as error:
                if not self.dialect.is_between_states(error) or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    def _await_removal(self, client: Any, found: Observation) -> None:
        try:
            client.wait(found.engine_id, timeout=CALL_TIMEOUT_SECONDS, condition="removed")
        except Exception as error:
            if status_of(error) != NOT_FOUND:
                raise translate(f"remove {found.name}", error) from error


class PodmanRuntime(DockerRuntime):
    """The same over a Podman that listens at CONTAINER_HOST, the user's own socket or the system's."""

    kind = PODMAN.kind
    dialect = PODMAN


def _as_ours(action: str, error: Exception) -> PloinkyError:
    return error if isinstance(error, PloinkyError) else translate(action, error)
