"""Where Podman answers differently from Docker, and what the runtime makes of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ploinky.adapters import docker_runtime
from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.docker_runtime_dialects import PODMAN, ROOTFUL_PODMAN_SOCKET
from ploinky.domain.errors import PloinkyError, RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL, LABEL_SPEC_DIGEST, InstanceSpec, ObservedState
from tests.adapters.runtime.fake_engine import FakeEngine

NAME = "ploinky-a"
LABELS = {LABEL_JOURNAL: "j", LABEL_SPEC_DIGEST: "d"}
VERSION = {"ApiVersion": "1.41", "Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
TAKEN = (500, {"message": f'the container name "{NAME}" is already in use by 1. that name is already in use'})
NO_INIT = (500, {"message": "container-init binary not found on the host: stat /usr/libexec/podman/catatonit"})
ENDING = (500, {"message": "cannot remove container 1: sending SIGKILL: container state improper: stopped"})


def container(status: str, **state: object) -> dict[str, Any]:
    return {
        "Id": "0123456789ab",
        "Name": f"/{NAME}",
        "State": {"Status": status, "ExitCode": 137, "OOMKilled": False, **state},
        "Config": {"Labels": LABELS},
    }


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "podman.sock")
    engine.on("GET /version", (200, VERSION))
    yield engine
    engine.close()


@pytest.fixture
def runtime(engine: FakeEngine) -> Iterator[PodmanRuntime]:
    runtime = PodmanRuntime(engine.base_url, timeout_seconds=2)
    yield runtime
    runtime.close()


@pytest.fixture
def spec(tmp_path: Path) -> InstanceSpec:
    for name in ("code", "core", "queue/tasks", "queue/cancel"):
        (tmp_path / name).mkdir(parents=True)
    return InstanceSpec(
        name=NAME,
        labels=LABELS,
        image="image:1",
        command=("python3",),
        environment={},
        code_directory=str(tmp_path / "code"),
        agentcore_directory=str(tmp_path / "core"),
        queue_directory=str(tmp_path / "queue"),
        log_path="",
    )


class TestCreate:
    def test_knows_a_taken_name_by_the_text(
        self, engine: FakeEngine, runtime: PodmanRuntime, spec: InstanceSpec
    ) -> None:
        """What Docker says with 409 comes as 500 here, and means the same: it is there already."""
        engine.on("POST /containers/create", TAKEN)
        engine.on(f"GET /containers/{NAME}/json", (200, container("created")))
        assert runtime.create(spec) == "0123456789ab"

    def test_takes_no_other_failure_for_a_taken_name(
        self, engine: FakeEngine, runtime: PodmanRuntime, spec: InstanceSpec
    ) -> None:
        """Another 500 is a refusal in the engine's words, even when something has the name."""
        engine.on("POST /containers/create", (500, {"message": "no space left on device"}))
        engine.on(f"GET /containers/{NAME}/json", (200, container("created")))
        with pytest.raises(RuntimeRefused, match="no space left"):
            runtime.create(spec)

    def test_goes_without_an_init_where_there_is_none(
        self, engine: FakeEngine, runtime: PodmanRuntime, spec: InstanceSpec
    ) -> None:
        """An engine that has no init process is asked once with and then without, and not with one again."""
        engine.on("POST /containers/create", NO_INIT, (201, {"Id": "a"}))
        assert runtime.create(spec) == "a"
        assert runtime.create(spec) == "a"
        bodies = [body["HostConfig"]["Init"] for body in engine.bodies("POST /containers/create")]
        assert bodies == [True, False, False]

    def test_refuses_a_missing_folder_itself(
        self, engine: FakeEngine, runtime: PodmanRuntime, spec: InstanceSpec
    ) -> None:
        """Podman would make it, as root; so it is not even asked."""
        with pytest.raises(RuntimeRefused, match="/nowhere is missing"):
            runtime.create(msgspec.structs.replace(spec, queue_directory="/nowhere"))
        assert engine.bodies("POST /containers/create") == []

    def test_limits_the_processes_of_a_user(
        self, engine: FakeEngine, runtime: PodmanRuntime, spec: InstanceSpec
    ) -> None:
        """Without a limit of open files and one of processes Podman sets its own, which it may not everywhere."""
        engine.on("POST /containers/create", (201, {"Id": "a"}))
        runtime.create(spec)
        (body,) = engine.bodies("POST /containers/create")
        assert {"nofile", "nproc"} <= {limit["Name"] for limit in body["HostConfig"]["Ulimits"]}


class TestLook:
    @pytest.mark.parametrize(("flag", "known"), [(False, None), (True, True)])
    def test_leaves_open_whether_memory_ran_out(
        self, engine: FakeEngine, runtime: PodmanRuntime, flag: bool, known: bool | None
    ) -> None:
        """A flag that is never set says nothing; one that is set is believed."""
        engine.on("GET /containers/", (200, container("exited", OOMKilled=flag)))
        look = runtime.inspect(NAME)
        assert look is not None
        assert look.is_out_of_memory is known

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("initialized", ObservedState.CREATED),
            ("stopping", ObservedState.RUNNING),
            ("stopped", ObservedState.EXITED),
        ],
    )
    def test_reads_its_own_states(
        self, engine: FakeEngine, runtime: PodmanRuntime, status: str, state: ObservedState
    ) -> None:
        """The states that only Podman has are read as what they are."""
        engine.on("GET /containers/", (200, container(status)))
        look = runtime.inspect(NAME)
        assert look is not None
        assert look.state is state

    @pytest.mark.parametrize("body", [b"", b"Internal Server Error", b'{"cause": "x"}'])
    def test_takes_errors_that_are_no_json(self, engine: FakeEngine, runtime: PodmanRuntime, body: bytes) -> None:
        """An error in whatever form is one of ours, and never a crash."""
        engine.on("GET /containers/", (500, body))
        with pytest.raises(PloinkyError):
            runtime.inspect(NAME)


class TestEnd:
    def test_is_asked_for_again_while_the_container_is_ending(self, engine: FakeEngine, runtime: PodmanRuntime) -> None:
        """A removal that meets a container between two states is repeated until it comes through."""
        engine.on("GET /containers/", (200, container("exited")))
        engine.on("DELETE /containers/", ENDING, ENDING, (204, b""))
        runtime.remove(NAME)
        assert sum(call.startswith("DELETE") for call in engine.calls) == 3

    def test_is_given_up_when_that_does_not_pass(
        self, engine: FakeEngine, runtime: PodmanRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container that stays between two states is a refusal after a while."""
        monkeypatch.setattr(docker_runtime, "STATE_WAIT_SECONDS", 0.1)
        engine.on("GET /containers/", (200, container("running")))
        engine.on("POST /containers/.*/stop", ENDING)
        with pytest.raises(RuntimeRefused, match="state improper"):
            runtime.stop(NAME, 0)


class TestPlace:
    def test_of_docker_is_not_taken_when_podman_answers_there(self, engine: FakeEngine) -> None:
        """Where Docker's socket leads to Podman, Docker is not usable, and no container has two owners."""
        runtime = DockerRuntime(engine.base_url)
        assert "--runtime podman" in runtime.check().reason
        with pytest.raises(RuntimeUnavailable, match="Podman that answers"):
            runtime.list("j")
        runtime.close()

    def test_of_podman_is_not_taken_when_docker_answers_there(self, engine: FakeEngine, runtime: PodmanRuntime) -> None:
        """The other way round the same."""
        engine.on("GET /version", (200, {"ApiVersion": "1.41", "Version": "20.10.24"}))
        assert "--runtime docker" in runtime.check().reason

    def test_is_what_the_environment_says(self) -> None:
        """CONTAINER_HOST decides alone."""
        assert PODMAN.find({"CONTAINER_HOST": "unix:///p", "XDG_RUNTIME_DIR": "/run/x"}) == {"base_url": "unix:///p"}

    def test_is_on_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A CONTAINER_HOST elsewhere cannot mount our folders, so it is not usable, and the check says why."""
        monkeypatch.setenv("CONTAINER_HOST", "ssh://user@elsewhere/run/podman.sock")
        runtime = PodmanRuntime()
        assert "not on this machine" in runtime.check().reason
        runtime.close()

    def test_is_the_users_own_socket_where_there_is_one(self, tmp_path: Path) -> None:
        """The usual sockets are looked for: the own one below the run-time folder, and the system's."""
        own = tmp_path / "podman" / "podman.sock"
        own.parent.mkdir()
        own.touch()
        found = PODMAN.find({"XDG_RUNTIME_DIR": str(tmp_path)})["base_url"]
        is_systems_first = os.geteuid() == 0 and os.path.exists(ROOTFUL_PODMAN_SOCKET)
        assert found == f"unix://{ROOTFUL_PODMAN_SOCKET if is_systems_first else own}"
