"""An engine is tried out once, with a real container, before an agent is given to it."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ploinky.adapters import docker_runtime_findings, docker_runtime_trial
from ploinky.adapters.debian_image import BASE_REFERENCE
from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.docker_runtime_findings import FindingsRecord
from ploinky.adapters.docker_runtime_identity import (
    Identity,
    engine_user_id,
    identity_of,
    is_selinux_enforcing,
    user_inside,
    user_mapping,
)
from ploinky.adapters.docker_runtime_trial import JOURNAL_OF_TRIALS, Findings
from ploinky.ports.runtime import LABEL_JOURNAL
from tests.adapters.runtime.fake_engine import FakeEngine
from tests.contracts.runtime_harness import ENGINES

RUNTIMES = {"docker": DockerRuntime, "podman": PodmanRuntime}
FINDINGS = Findings(engine="Docker 1", identity=Identity.SERVER)
ENDED = {
    "Id": "0123456789ab",
    "State": {"Status": "exited", "ExitCode": 1},
    "Config": {"Labels": {LABEL_JOURNAL: JOURNAL_OF_TRIALS}, "Tty": False},
}


class TestRealEngine:
    @pytest.mark.parametrize("kind", ENGINES)
    def test_runs_agents_as_whom_they_should_be(self, kind: str, tmp_path: Path) -> None:
        """What a container writes belongs to the right user here, its socket answers, and nothing stays behind."""
        runtime = RUNTIMES[kind](trial_folder=tmp_path / "trial", findings_file=tmp_path / "engines" / "found.json")
        runtime.resolve_image("", lambda _line: None)
        availability = runtime.check()
        assert availability.is_usable, availability.reason
        assert availability.reaches_sockets
        found = json.loads((tmp_path / "engines" / "found.json").read_text())
        assert found["identity"] == ("allocated" if os.geteuid() == 0 else found["identity"])
        assert runtime.has_own_users() is (os.geteuid() == 0)
        assert not (tmp_path / "trial").exists()
        trials = [look for look in runtime.list(JOURNAL_OF_TRIALS) if str(tmp_path) in str(look.labels)]
        assert trials == []
        runtime.close()

    @pytest.mark.parametrize("kind", ENGINES)
    def test_is_not_tried_again_after_a_restart(self, kind: str, tmp_path: Path) -> None:
        """A second server over the same data believes what the first one found out."""
        place = tmp_path / "trial"
        for _ in range(2):
            runtime = RUNTIMES[kind](trial_folder=place, findings_file=tmp_path / "found.json")
            runtime.resolve_image("", lambda _line: None)
            assert runtime.check().is_usable
            runtime.close()
            place = Path("/proc/no-folder-can-be-made-here")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "engine.sock")
    engine.on("GET /containers/json", (200, []))
    engine.on(f"GET /images/{BASE_REFERENCE}/json", (200, {"Id": "sha256:1"}))
    engine.on("POST /containers/create", (201, {"Id": "0123456789ab"}))
    engine.on("DELETE /containers/", (204, b""))
    yield engine
    engine.close()


@pytest.fixture
def runtime(engine: FakeEngine, tmp_path: Path) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(engine.base_url, timeout_seconds=2, trial_folder=tmp_path / "trial")
    yield runtime
    runtime.close()


def framed(output: bytes) -> bytes:
    """Wrap output as the engine does that of a container without a terminal."""
    return b"\x01\0\0\0" + len(output).to_bytes(4, "big") + output


def shows_the_container(engine: FakeEngine, status: str) -> None:
    def look() -> tuple[int, object]:
        name = engine.calls[-1].split("/")[2]
        return 200, {**ENDED, "Name": f"/{name}", "State": {"Status": status, "ExitCode": 1}}

    engine.on_call("GET /containers/ploinky-trial", look)
    engine.on("GET /containers/0123456789ab/json", (200, ENDED))


class TestTrial:
    def test_that_the_engine_refuses_makes_it_unusable(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """An engine that answers and starts nothing is not usable, in its own words, with what to do."""
        shows_the_container(engine, "created")
        engine.on("POST /containers/.*/start", (500, {"message": "crun: cgroups in hybrid mode: OCI runtime error"}))
        availability = runtime.check()
        assert not availability.is_usable
        assert "cgroups in hybrid mode" in availability.reason
        assert "containers.conf" in availability.reason

    def test_that_writes_nothing_makes_it_unusable(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A container that ends without having written is reported with its last words."""
        shows_the_container(engine, "created")

        def start() -> tuple[int, object]:
            shows_the_container(engine, "exited")
            return 204, b""

        engine.on_call("POST /containers/.*/start", start)
        engine.on("GET /containers/.*/logs", (200, framed(b"Permission denied")))
        assert "Permission denied" in runtime.check().reason

    def test_that_the_engine_does_not_answer_is_no_finding(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """Silence in the middle says nothing about the engine; the next check tries again."""
        engine.on("POST /containers/create", None)
        assert not runtime.check().is_usable
        tried = len(engine.bodies("POST /containers/create"))
        runtime.check()
        assert len(engine.bodies("POST /containers/create")) > tried

    def test_waits_until_there_is_an_image(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """Without an image of ours nothing can be tried, and the engine counts as usable until then."""
        engine.on("GET /images/", (404, {"message": "no such image"}))
        assert runtime.check().is_usable
        assert engine.bodies("POST /containers/create") == []

    def test_names_whose_the_file_is(self, runtime: DockerRuntime, tmp_path: Path) -> None:
        """A file of somebody else would be an agent's result that the server cannot own."""
        (tmp_path / "file").touch()
        spec = docker_runtime_trial._specification(tmp_path / "trial", "image", None)
        assert docker_runtime_trial._await_file(runtime, spec, tmp_path / "file") == ""
        other = msgspec.structs.replace(spec, user_id=os.geteuid() + 1)
        problem = docker_runtime_trial._await_file(runtime, other, tmp_path / "file")
        assert f"belongs to user {os.geteuid()} here, not {os.geteuid() + 1}" in problem

    def test_notices_that_no_socket_answers(self, tmp_path: Path) -> None:
        """Where a socket's file is there and nobody listens, agents are spoken to by files."""
        (tmp_path / "socket").touch()
        assert docker_runtime_trial._answers(tmp_path) is False


class TestRecord:
    def test_asks_once(self, tmp_path: Path) -> None:
        """What is known of an engine is not found out again, neither here nor by the next one."""
        asked: list[str] = []
        find_out = self._noting(asked, FINDINGS)
        for record in (FindingsRecord(tmp_path / "found.json"), FindingsRecord(tmp_path / "found.json")):
            for _ in range(2):
                assert record.get("Docker 1", find_out) == FINDINGS
        assert asked == ["asked"]

    def test_asks_another_engine(self, tmp_path: Path) -> None:
        """A newer engine, another place or another user are found out about anew."""
        asked: list[str] = []
        FindingsRecord(tmp_path / "found.json").get("Docker 1", self._noting(asked, FINDINGS))
        FindingsRecord(tmp_path / "found.json").get("Docker 2", self._noting(asked, FINDINGS))
        assert len(asked) == 2

    def test_believes_a_problem_only_for_a_while(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A problem is no lasting finding: it is asked for again, and never kept over a restart."""
        bad = Findings(engine="Docker 1", identity=Identity.SERVER, problem="broken")
        asked: list[str] = []
        record = FindingsRecord(tmp_path / "found.json")
        assert record.get("Docker 1", self._noting(asked, bad)) == bad
        assert record.get("Docker 1", self._noting(asked, FINDINGS)) == bad
        monkeypatch.setattr(docker_runtime_findings, "FAILURE_SECONDS", -1.0)
        assert record.get("Docker 1", self._noting(asked, FINDINGS)) == FINDINGS

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"engine": 1}', b"\xff"])
    def test_passes_over_what_it_cannot_read(self, tmp_path: Path, content: bytes) -> None:
        """A broken file costs a trial and nothing else."""
        (tmp_path / "found.json").write_bytes(content)
        assert FindingsRecord(tmp_path / "found.json").get("Docker 1", lambda: FINDINGS) == FINDINGS
        assert json.loads((tmp_path / "found.json").read_text())["engine"] == "Docker 1"

    @staticmethod
    def _noting(asked: list[str], found: Findings) -> Callable[[], Findings]:
        def find_out() -> Findings:
            asked.append("asked")
            return found

        return find_out


class TestIdentity:
    @pytest.mark.parametrize(
        ("kind", "engine_user", "own_user", "identity"),
        [
            ("docker", 0, 0, Identity.ALLOCATED),
            ("podman", 0, 0, Identity.ALLOCATED),
            ("docker", 0, 1000, Identity.SERVER),
            ("podman", 0, 1000, Identity.SERVER),
            ("docker", 1000, 1000, Identity.CONTAINER_ROOT),
            ("podman", 1000, 1000, Identity.KEEP_ID),
        ],
    )
    def test_follows_from_whose_the_engine_and_the_server_are(
        self, kind: str, engine_user: int, own_user: int, identity: Identity
    ) -> None:
        """The four ways to be somebody, each for its kind of engine."""
        assert identity_of(kind, engine_user, own_user) is identity

    def test_inside_is_root_only_where_root_is_nobody_outside(self) -> None:
        """Docker without root maps its root to the server's user; everywhere else the number is the same."""
        own = f"{os.getuid()}:{os.getgid()}"
        assert user_inside(None, Identity.CONTAINER_ROOT) == "0:0"
        assert user_inside(None, Identity.SERVER) == user_inside(None, Identity.KEEP_ID) == own
        assert user_inside(200_001, Identity.ALLOCATED) == "200001:200001"
        assert user_mapping(Identity.KEEP_ID) == {"UsernsMode": "keep-id"}
        assert user_mapping(Identity.ALLOCATED) == {}

    def test_of_an_engine_is_the_owner_of_its_socket(self, tmp_path: Path) -> None:
        """A socket of ours is our engine; what cannot be seen counts as root's."""
        (tmp_path / "engine.sock").touch()
        assert engine_user_id(f"unix://{tmp_path}/engine.sock") == os.geteuid()
        assert engine_user_id(f"unix://{tmp_path}/{secrets.token_hex(4)}") == 0
        assert engine_user_id("tcp://127.0.0.1:2375") == 0

    @pytest.mark.parametrize(("content", "is_on"), [("1", True), ("1\n", True), ("0", False), (None, False)])
    def test_needs_labels_only_where_selinux_enforces(self, tmp_path: Path, content: str | None, is_on: bool) -> None:
        """Permissive or absent, it asks for nothing."""
        switch = tmp_path / "enforce"
        if content is not None:
            switch.write_text(content)
        assert is_selinux_enforcing(switch) is is_on
