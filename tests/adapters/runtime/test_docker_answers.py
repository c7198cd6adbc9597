"""What the Docker runtime makes of an engine that is absent, slow, or answers nonsense."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ploinky.adapters import docker_runtime
from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.domain.errors import ImageUnavailable, PloinkyError, RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL, LABEL_SPEC_DIGEST, InstanceSpec, ObservedState
from tests.adapters.runtime.fake_engine import FakeEngine

NAME = "ploinky-a"
OUR_LABELS = {LABEL_JOURNAL: "j", LABEL_SPEC_DIGEST: "d"}
TAKEN = (409, {"message": "the name is in use"})
SPEC = InstanceSpec(
    name=NAME,
    labels={LABEL_JOURNAL: "j", LABEL_SPEC_DIGEST: "d"},
    image="image:1",
    command=("python3",),
    environment={},
    code_directory="/code",
    agentcore_directory="/core",
    queue_directory="/queue",
    log_path="/log",
)


def container(status: str, *, labels: dict[str, str] | None = None, **state: object) -> dict[str, Any]:
    return {
        "Id": "0123456789ab",
        "Name": f"/{NAME}",
        "State": {"Status": status, "ExitCode": 0, "OOMKilled": False, **state},
        "Config": {"Labels": OUR_LABELS if labels is None else labels, "Tty": False},
    }


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "engine.sock")
    yield engine
    engine.close()


@pytest.fixture
def runtime(engine: FakeEngine) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(engine.base_url, timeout_seconds=2, silence_seconds=0.2)
    yield runtime
    runtime.close()


class TestAbsentEngine:
    def test_is_not_usable_and_says_what_to_do(self, tmp_path: Path) -> None:
        """Without a socket the check gives a reason and a way out, and never raises."""
        runtime = DockerRuntime(f"unix://{tmp_path}/none.sock")
        availability = runtime.check()
        assert not availability.is_usable
        assert "Install and start Docker" in availability.reason
        runtime.close()

    def test_is_unavailable_in_every_call(self, tmp_path: Path) -> None:
        """Every method says the same: the engine does not answer, try again later."""
        runtime = DockerRuntime(f"unix://{tmp_path}/none.sock")
        calls: list[Callable[[], object]] = [
            lambda: runtime.create(SPEC),
            lambda: runtime.start(NAME),
            lambda: runtime.stop(NAME, 0),
            lambda: runtime.remove(NAME),
            lambda: runtime.inspect(NAME),
            lambda: runtime.list("j"),
            lambda: runtime.logs(NAME, 1),
            lambda: runtime.resolve_image("image:1", print),
            lambda: next(runtime.events("j")),
        ]
        for call in calls:
            with pytest.raises(RuntimeUnavailable):
                call()
        runtime.close()

    def test_is_reached_again_when_it_comes_back(self, tmp_path: Path) -> None:
        """A failed connection is not kept."""
        runtime = DockerRuntime(f"unix://{tmp_path}/late.sock")
        with pytest.raises(RuntimeUnavailable):
            runtime.inspect(NAME)
        engine = FakeEngine(tmp_path / "late.sock")
        try:
            assert runtime.inspect(NAME) is None
        finally:
            runtime.close()
            engine.close()

    def test_is_unavailable_after_close(self, runtime: DockerRuntime) -> None:
        """A closed runtime opens no connection any more."""
        runtime.close()
        with pytest.raises(RuntimeUnavailable, match="closed"):
            runtime.inspect(NAME)


class TestNonsense:
    @pytest.mark.parametrize(
        "answer",
        [
            (200, b"not json"),
            (200, b""),
            (200, []),
            (200, {}),
            (200, {**container("running"), "Id": 5}),
            (200, {**container("running"), "State": None}),
            (200, {**container("running"), "Config": {"Labels": {"x": 1}}}),
            None,
        ],
    )
    def test_of_an_inspect_is_no_answer(
        self, engine: FakeEngine, runtime: DockerRuntime, answer: tuple[int, object] | None
    ) -> None:
        """Whatever is not a container's description counts as no answer."""
        engine.on("GET /containers/", answer)
        with pytest.raises(RuntimeUnavailable):
            runtime.inspect(NAME)

    @pytest.mark.parametrize("body", [b"{", {}, [{}], [1], [{"Id": "x", "Names": "a", "State": "running"}]])
    def test_of_a_list_is_no_answer(self, engine: FakeEngine, runtime: DockerRuntime, body: object) -> None:
        """Whatever is not a list of containers counts as no answer."""
        engine.on("GET /containers/json", (200, body))
        with pytest.raises(RuntimeUnavailable):
            runtime.list("j")

    def test_of_a_state_is_unknown(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A state that nobody has heard of is unknown, not guessed."""
        engine.on("GET /containers/", (200, container("levitating")))
        found = runtime.inspect(NAME)
        assert found is not None
        assert found.state is ObservedState.UNKNOWN

    @pytest.mark.parametrize("body", [{}, [], {"Id": 1}, b"x"])
    def test_of_an_image_is_no_answer(self, engine: FakeEngine, runtime: DockerRuntime, body: object) -> None:
        """Whatever is not an image's description counts as no answer."""
        engine.on("GET /images/", (200, body))
        with pytest.raises(RuntimeUnavailable):
            runtime.resolve_image("image:1", print)

    def test_of_a_creation_is_no_answer(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """An answer without an id is no outcome."""
        engine.on("POST /containers/create", (201, {}))
        with pytest.raises(RuntimeUnavailable):
            runtime.create(SPEC)

    def test_of_a_version_makes_it_unusable(self, engine: FakeEngine) -> None:
        """A check never raises, whatever comes back."""
        engine.on("GET /version", (200, b"<html>"))
        runtime = DockerRuntime(engine.base_url)
        assert not runtime.check().is_usable
        runtime.close()


class TestErrors:
    def test_of_the_engine_come_in_its_own_words(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """What the engine refuses is told with its text, shortened."""
        engine.on("POST /containers/create", (500, {"message": "the moon is full " + "x" * 5000}))
        with pytest.raises(RuntimeRefused, match="the moon is full") as caught:
            runtime.create(SPEC)
        assert len(caught.value.message) < 1000

    @pytest.mark.parametrize(
        ("path", "call"),
        [
            ("POST /containers/[^/]+/stop", lambda runtime: runtime.stop(NAME, 0)),
            ("DELETE /containers/", lambda runtime: runtime.remove(NAME)),
            ("GET /containers/[^/]+/logs", lambda runtime: runtime.logs(NAME, 5)),
        ],
    )
    def test_of_the_engine_are_refusals_in_every_call(
        self, engine: FakeEngine, runtime: DockerRuntime, path: str, call: Any
    ) -> None:
        """An error that the engine answers is a refusal."""
        engine.on("GET /containers/", (200, container("running")))
        engine.on(path, (500, {"message": "no"}))
        with pytest.raises(RuntimeRefused):
            call(runtime)

    @pytest.mark.parametrize(
        ("path", "call", "expected"),
        [
            ("POST /containers/[^/]+/stop", lambda runtime: runtime.stop(NAME, 0), "running"),
            ("DELETE /containers/", lambda runtime: runtime.remove(NAME), None),
            ("GET /containers/[^/]+/logs", lambda runtime: runtime.logs(NAME, 5), b""),
        ],
    )
    def test_that_it_is_gone_are_none(
        self, engine: FakeEngine, runtime: DockerRuntime, path: str, call: Any, expected: object
    ) -> None:
        """What vanished between the look and the call needed no call."""
        engine.on("GET /containers/", (200, container("running")))
        engine.on(path, (404, {"message": "no such container"}))
        result = call(runtime)
        assert (result.state.value if expected == "running" else result) == expected


class TestUncertainOutcome:
    def test_of_a_start_is_settled_by_a_look(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A start that fails although the container runs has succeeded."""
        engine.on("GET /containers/", (200, container("created")), (200, container("running")))
        engine.on("POST /containers/[^/]+/start", (500, {"message": "late trouble"}))
        runtime.start(NAME)

    def test_of_a_start_that_hung_up_is_settled_by_a_look(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """An engine that breaks the connection may have started it all the same."""
        engine.on("GET /containers/", (200, container("created")), (200, container("exited")))
        engine.on("POST /containers/[^/]+/start", None)
        runtime.start(NAME)

    @pytest.mark.parametrize(
        ("answer", "error"), [((500, {"message": "no"}), RuntimeRefused), (None, RuntimeUnavailable)]
    )
    def test_of_a_start_stays_a_failure_while_it_does_not_run(
        self, engine: FakeEngine, runtime: DockerRuntime, answer: tuple[int, object] | None, error: type[PloinkyError]
    ) -> None:
        """When the look finds it still only created, the failure stands."""
        engine.on("GET /containers/", (200, container("created")))
        engine.on("POST /containers/[^/]+/start", answer)
        with pytest.raises(error):
            runtime.start(NAME)

    def test_of_a_creation_is_settled_by_its_repetition(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """The name that the first, timed-out creation took is recognised by the second."""
        engine.on("POST /containers/create", None, (409, {"message": "the name is in use"}))
        engine.on("GET /containers/", (200, container("created")))
        with pytest.raises(RuntimeUnavailable):
            runtime.create(SPEC)
        assert runtime.create(SPEC) == "0123456789ab"

    def test_of_a_creation_waits_for_a_reserved_name(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A name that is taken by nothing visible is about to appear, or to be freed."""
        engine.on("POST /containers/create", TAKEN, TAKEN, (201, {"Id": "fresh"}))
        assert runtime.create(SPEC) == "fresh"

    def test_of_a_creation_does_not_wait_for_ever(
        self, engine: FakeEngine, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that stays reserved is reported."""
        monkeypatch.setattr(docker_runtime, "NAME_WAIT_SECONDS", 0.1)
        engine.on("POST /containers/create", TAKEN)
        with pytest.raises(RuntimeUnavailable, match="reserved"):
            runtime.create(SPEC)

    def test_of_a_removal_waits_for_one_that_is_going_on(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A removal by somebody else is waited for."""
        engine.on("GET /containers/", (200, container("running")))
        engine.on("DELETE /containers/", (409, {"message": "removal is already in progress"}))
        engine.on("POST /containers/[^/]+/wait", (200, {"StatusCode": 137}))
        runtime.remove(NAME)
        assert any(call.startswith("POST /containers/0123456789ab/wait?condition=removed") for call in engine.calls)

    def test_of_a_removal_that_goes_on_without_end_is_told(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """When somebody else's removal cannot be waited for, the removal has not succeeded."""
        engine.on("GET /containers/", (200, container("running")))
        engine.on("DELETE /containers/", (409, {"message": "removal is already in progress"}))
        engine.on("POST /containers/[^/]+/wait", (404, {"message": "gone"}))
        runtime.remove(NAME)
        engine.on("POST /containers/[^/]+/wait", (500, {"message": "the driver failed"}))
        with pytest.raises(RuntimeRefused, match="the driver failed"):
            runtime.remove(NAME)

    def test_of_a_silent_engine_is_no_outcome(self, engine: FakeEngine) -> None:
        """An engine that takes the call and says nothing is unavailable after the time-out."""
        is_over = threading.Event()

        def say_nothing() -> None:
            is_over.wait(20)

        engine.on_call("GET /containers/", say_nothing)
        runtime = DockerRuntime(engine.base_url, timeout_seconds=0.2)
        try:
            with pytest.raises(RuntimeUnavailable):
                runtime.inspect(NAME)
        finally:
            is_over.set()
            runtime.close()


class TestForeigners:
    def test_are_not_shown(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A container without our label does not exist, even when the engine's filter lets it through."""
        engine.on("GET /containers/", (200, container("running", labels={})))
        stranger = {"Id": "x", "Names": ["/stranger"], "State": "running", "Labels": {LABEL_JOURNAL: "other"}}
        engine.on("GET /containers/json", (200, [stranger, {"Id": "y", "Names": [], "State": "running"}]))
        assert runtime.inspect(NAME) is None
        assert runtime.list("j") == []

    def test_are_not_taken_for_ours_by_the_beginning_of_an_id(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """The engine finds containers by parts of their id; a name means a name."""
        engine.on("GET /containers/", (200, container("running")))
        assert runtime.inspect("0123") is None


class TestEvents:
    def test_that_make_no_sense_are_passed_over(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """Only events about this journal's containers become hints; the end of the stream is an error."""
        events = (
            b'[]\n{}\n{"Actor": 1}\n{"Actor": {"Attributes": {"name": "x"}}}\n'
            b'{"Actor": {"Attributes": {"name": 5, "ploinky.journal": "j"}}}\n'
            b'{"Actor": {"Attributes": {"name": "ploinky-a", "ploinky.journal": "j"}}}\n'
        )
        engine.on("GET /events", (200, events))
        hints = runtime.events("j")
        assert next(hints) == NAME
        with pytest.raises(RuntimeUnavailable):
            next(hints)

    @pytest.mark.parametrize("answer", [(200, b"{nonsense}\n"), (500, {"message": "no"}), None])
    def test_that_cannot_be_read_end_with_an_error(
        self, engine: FakeEngine, runtime: DockerRuntime, answer: tuple[int, object] | None
    ) -> None:
        """A broken stream is told, so that it is opened again later."""
        engine.on("GET /events", answer)
        with pytest.raises((RuntimeUnavailable, RuntimeRefused)):
            list(runtime.events("j"))


class TestPull:
    def test_tells_its_progress_by_layers(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """One line for each change: how many layers are known and done."""
        engine.on("GET /images/", (404, {"message": "No such image"}), (200, {"Id": "sha256:1"}))
        engine.on(
            "POST /images/create",
            (
                200,
                b"""{"status": "Pulling from library/x", "id": "1"}
                {"status": "Pulling fs layer", "id": "a"}
                {"status": "Pulling fs layer", "id": "b"}
                {"status": "Downloading", "id": "a"}
                {"status": "Already exists", "id": "b"}
                {"status": "Pull complete", "id": "a"}
                []
                """,
            ),
        )
        lines: list[str] = []
        image = runtime.resolve_image("x:1", lines.append)
        assert (image.reference, image.digest) == ("x:1", "sha256:1")
        assert lines == ["pulling x:1", *(f"pulling x:1: {n} layers" for n in ("0 of 1", "0 of 2", "1 of 2", "2 of 2"))]
        assert "POST /images/create?tag=1&fromImage=x" in engine.calls

    def test_takes_the_latest_when_no_tag_is_given(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A name without a tag never pulls every tag there is."""
        engine.on("POST /images/create", (404, {"message": "pull access denied"}))
        with pytest.raises(ImageUnavailable, match="pull access denied"):
            runtime.resolve_image("x", print)
        assert "POST /images/create?tag=latest&fromImage=x" in engine.calls

    def test_fails_with_the_registrys_reason(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """An error in the middle of a pull is the reason, with a hint."""
        engine.on("POST /images/create", (200, b'{"status": "x"}\n{"error": "manifest unknown"}\n'))
        with pytest.raises(ImageUnavailable, match="manifest unknown") as caught:
            runtime.resolve_image("x:1", print)
        assert caught.value.advice

    def test_does_not_wait_for_a_silent_engine(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A pull about which nothing is heard for too long is given up."""
        is_over = threading.Event()

        def say_nothing() -> None:
            is_over.wait(20)

        engine.on_call("POST /images/create", say_nothing)
        try:
            with pytest.raises(RuntimeUnavailable):
                runtime.resolve_image("x:1", print)
        finally:
            is_over.set()

    @pytest.mark.parametrize("reference", ["-rf", "a b", "../x", "x" * 300, "a\n"])
    def test_refuses_what_is_no_name(self, engine: FakeEngine, runtime: DockerRuntime, reference: str) -> None:
        """What cannot be an image's name is not sent to the engine."""
        with pytest.raises(ImageUnavailable, match="not the name"):
            runtime.resolve_image(reference, print)
        assert not any("images" in call for call in engine.calls)

    def test_that_vanishes_at_once_is_reported(self, engine: FakeEngine, runtime: DockerRuntime) -> None:
        """A pull that succeeds without leaving an image is no success."""
        engine.on("POST /images/create", (200, b""))
        with pytest.raises(ImageUnavailable, match="does not have it"):
            runtime.resolve_image("x:1", print)
