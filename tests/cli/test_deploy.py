"""Deploying shows each step once, waits for the end, and tells a failure so that it can be repaired."""

import json
from pathlib import Path

import pytest

from ploinky.cli import waiting
from ploinky.cli.commands.deploy import located
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, ended, rolling
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

DEPLOY = ("deploy", "localhost", "/demo", "demo", "--repository", "agents")
FAILED = ended(
    2,
    "failed",
    step="start",
    code="INSTANCE_EXITED",
    message="The instance ended\nbefore it was ready",
    hint="Look at the log.",
    exitCode=3,
    logTail=["Traceback:", "  File agent.py \x1b[2J"],
)


@pytest.fixture
def rollout(stub: StubServer) -> StubServer:
    """Script a rollout that takes some polls for each step."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer(
        "GET",
        "~/deployments/dep1",
        Reply(200, rolling(1, "source")),
        Reply(200, rolling(1, "image")),
        Reply(200, rolling(1, "start")),
        Reply(200, rolling(1, "start")),
        Reply(200, deployment()),
    )
    return stub


@pytest.mark.usefixtures("rollout")
def test_tells_each_step_once(ploinky: CommandLine) -> None:
    """The steps are told on stderr while it waits; the result on stdout."""
    ran = ploinky(*DEPLOY)
    assert ran.code == 0
    assert ran.err.splitlines() == ["fetching source", "preparing image", "starting", "ready"]
    assert ran.out == "localhost/demo is ready: http://localhost:8000/demo\n"


def test_tells_warnings_of_what_serves(ploinky: CommandLine, stub: StubServer) -> None:
    """What is not as its author meant it is said where somebody looks."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment(warnings=["from the cache", "a pointer"])))
    told = ploinky(*DEPLOY).err.splitlines()
    assert told == ["fetching source", "warning: from the cache", "warning: a pointer", "ready"]


@pytest.mark.usefixtures("rollout")
def test_prints_the_deployment_as_json_once(ploinky: CommandLine) -> None:
    """With --json stdout holds exactly the API's document."""
    assert json.loads(ploinky.succeeds(*DEPLOY, "--json")) == deployment()


def test_sends_all_options(ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option reaches the API under its name there; a variable without a value takes the one it has here."""
    monkeypatch.setenv("FROM_HERE", "here")
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    ploinky.succeeds(
        *(*DEPLOY, "--branch", "dev", "--runtime", "process", "--image", "x:1", "--access", "public"),
        *(
            "--concurrency",
            "3",
            "--replicas",
            "2",
            "--task-timeout",
            "2.5",
            "--env",
            "A=1=2",
            "--env",
            "EMPTY=",
            "--env",
            "FROM_HERE",
        ),
        "--no-wait",
    )
    assert stub.requests[0].document == {
        "domain": "localhost",
        "path": "/demo",
        "agent": "demo",
        "repository": "agents",
        "branch": "dev",
        "runtime": "process",
        "image": "x:1",
        "access": "public",
        "concurrency": 3,
        "replicas": 2,
        "timeoutSeconds": 2.5,
        "env": {"A": "1=2", "EMPTY": "", "FROM_HERE": "here"},
    }


def test_leaves_to_the_server_what_was_not_said(ploinky: CommandLine, stub: StubServer) -> None:
    """Options that were not given are not sent, so the manifest decides."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    out = ploinky.succeeds(*DEPLOY, "--no-wait")
    assert out.startswith("localhost/demo is being deployed")
    assert stub.requests[0].document.keys() == {"domain", "path", "agent", "repository"}
    assert len(stub.requests) == 1


def test_fails_as_the_rollout_failed(ploinky: CommandLine, stub: StubServer) -> None:
    """A failed rollout ends with 4 and tells step, code, message, hint, exit code and the log's last lines."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(2, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment(state="failed", lastRollout=FAILED)))
    ran = ploinky(*DEPLOY)
    assert ran.code == 4
    assert ran.err.splitlines() == [
        "fetching source",
        "error: localhost/demo was not deployed: The instance ended before it was ready (INSTANCE_EXITED)",
        "hint: Look at the log.",
        "step: start",
        "exit code: 3",
        "last log lines:",
        "  Traceback:",
        "    File agent.py \\x1b[2J",
    ]


def test_prints_the_failed_deployment_as_json(ploinky: CommandLine, stub: StubServer) -> None:
    """Programs get the deployment as it is after a failed rollout, not as it was accepted."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(2, "source")))
    failed = deployment(state="failed", lastRollout=FAILED)
    stub.answer("GET", "~/deployments/dep1", Reply(200, failed))
    ran = ploinky(*DEPLOY, "--json")
    assert ran.code == 4
    assert json.loads(ran.out) == failed


def test_does_not_take_the_rollout_before_for_its_own(ploinky: CommandLine, stub: StubServer) -> None:
    """A redeploy of what failed before waits for its own generation."""
    before = ended(1, "failed", code="OLD", message="the one before")
    stub.answer("POST", "~/deployments", Reply(202, rolling(2, "source", lastRollout=before)))
    stub.answer(
        "GET",
        "~/deployments/dep1",
        Reply(200, deployment(lastRollout=before, state="deploying")),
        Reply(200, deployment(lastRollout=ended(2))),
    )
    assert ploinky(*DEPLOY).err.splitlines() == ["fetching source", "ready"]


def test_follows_a_newer_rollout(ploinky: CommandLine, stub: StubServer) -> None:
    """A rollout that somebody else replaced meanwhile is awaited instead."""
    superseded = ended(2, "failed", code="SUPERSEDED")
    stub.answer("POST", "~/deployments", Reply(202, rolling(2, "image")))
    stub.answer(
        "GET",
        "~/deployments/dep1",
        Reply(200, rolling(3, "source", lastRollout=superseded)),
        Reply(200, deployment(lastRollout=ended(3))),
    )
    assert ploinky(*DEPLOY).code == 0


def test_waits_over_a_lost_connection(ploinky: CommandLine, stub: StubServer) -> None:
    """A server that restarts while it deploys does not end the waiting."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer(
        "GET", "~/deployments/dep1", *[Reply(is_dropped=True)] * 5, Reply(200, deployment(lastRollout=ended(1)))
    )
    assert ploinky(*DEPLOY).code == 0


def test_gives_up_on_a_server_that_is_gone(
    ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost answers in a row are counted; then it is a failed connection."""
    monkeypatch.setattr(waiting, "LOST_ANSWERS_LIMIT", 2)
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(is_dropped=True))
    assert ploinky(*DEPLOY).code == 2


def test_stops_waiting_after_the_limit(ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end, and says that the rollout goes on."""
    monkeypatch.setattr(waiting.Poll.__init__, "__defaults__", (0.02,))
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, rolling(1, "source")))
    ran = ploinky(*DEPLOY)
    assert ran.code == 1
    assert "WAIT_TIMEOUT" in ran.err
    assert "goes on" in ran.err


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (refusal(401, "UNAUTHENTICATED"), 3),
        (refusal(403, "FORBIDDEN"), 3),
        (refusal(404, "REPOSITORY_NOT_FOUND"), 6),
        (refusal(409, "ROUTE_TAKEN", hint="Undeploy it first."), 6),
        (refusal(400, "INVALID_REQUEST"), 1),
        (refusal(500, "INTERNAL_ERROR"), 1),
        (refusal(503, "RUNTIME_UNAVAILABLE"), 4),
        (refusal(502, "IMAGE_UNAVAILABLE"), 4),
        (refusal(422, "CONFIGURATION_INVALID"), 5),
        (Reply(is_dropped=True), 2),
    ],
)
def test_exits_with(ploinky: CommandLine, stub: StubServer, reply: Reply, code: int) -> None:
    """Each kind of refusal has its exit code, and is told on one line with its code."""
    stub.answer("POST", "~/deployments", reply)
    ran = ploinky(*DEPLOY)
    assert ran.code == code
    assert ran.err.startswith("error: ")
    assert ran.out == ""


@pytest.mark.parametrize(
    "wrong",
    [
        ("--concurrency", "0"),
        ("--concurrency", "many"),
        ("--task-timeout", "-1"),
        ("--runtime", "lxc"),
        ("--env", "1A=x"),
        ("--env", "=x"),
        ("--env", "NOT_SET_HERE"),
        ("--unknown",),
        ("surplus",),
    ],
)
def test_refuses_the_option(ploinky: CommandLine, stub: StubServer, wrong: tuple[str, ...]) -> None:
    """What cannot be meant is a usage error and is not sent."""
    ran = ploinky(*DEPLOY, *wrong)
    assert ran.code == 64
    assert "(USAGE)" in ran.err
    assert "ploinky deploy --help" in ran.err
    assert not stub.requests


def test_makes_local_paths_absolute(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gets a path that means the same there; URLs and names stay."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "agents").mkdir(parents=True)
    assert located(".") == str(tmp_path)
    assert located("./x") == str(tmp_path / "x")
    assert located("../x") == str(tmp_path.parent / "x")
    assert located("~/x") == str(home / "x")
    assert located("some/agents") == str(tmp_path / "some" / "agents")
    for untouched in ("some", "owner/absent", "https://git.test/x", "file:///x", "git@git.test:x/y", "/srv/x"):
        assert located(untouched) == untouched


def test_waits_until_it_is_removed(ploinky: CommandLine, stub: StubServer) -> None:
    """Undeploying ends when the deployment is gone."""
    removing = deployment(state="removing", desired="removed")
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("DELETE", "~/deployments/dep1", Reply(202, removing))
    stub.answer("GET", "~/deployments/dep1", Reply(200, removing), Reply(200, removing), refusal(404, "GONE"))
    ran = ploinky("undeploy", "localhost", "/demo/")
    assert (ran.code, ran.out, ran.err) == (0, "localhost/demo is removed\n", "removing\n")
    assert stub.requests[0].query == {"domain": "localhost", "path": "/demo"}


def test_does_not_wait_when_told_so(ploinky: CommandLine, stub: StubServer) -> None:
    """With --no-wait the acceptance is enough, and an empty answer is fine."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("DELETE", "~/deployments/dep1", Reply(202, content=b""))
    assert ploinky.succeeds("undeploy", "localhost", "/demo", "--no-wait") == "localhost/demo is being removed\n"
    assert not stub.asked("GET", "~/deployments/dep1")


def test_prints_what_was_accepted_as_json(ploinky: CommandLine, stub: StubServer) -> None:
    """With --no-wait --json the accepted document is printed, for deploying and removing alike."""
    removing = deployment(state="removing")
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("DELETE", "~/deployments/dep1", Reply(202, removing))
    assert json.loads(ploinky.succeeds(*DEPLOY, "--no-wait", "--json")) == rolling(1, "source")
    assert json.loads(ploinky.succeeds("undeploy", "localhost", "/demo", "--no-wait", "--json")) == removing


def test_does_not_take_another_failure_for_gone(ploinky: CommandLine, stub: StubServer) -> None:
    """Only a 404 means removed."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("DELETE", "~/deployments/dep1", Reply(202, deployment(state="removing")))
    stub.answer("GET", "~/deployments/dep1", refusal(403, "FORBIDDEN"))
    assert ploinky("undeploy", "localhost", "/demo", "--json").code == 3


def test_says_that_there_is_nothing_to_remove(ploinky: CommandLine, stub: StubServer) -> None:
    """Removing what is not there is exit 6 with a hint."""
    stub.answer("GET", "~/deployments", Reply(200, page_of()))
    ran = ploinky("undeploy", "localhost", "/none")
    assert ran.code == 6
    assert "hint: See `ploinky deployments`." in ran.err


@pytest.mark.parametrize("change", ["start", "restart", "update"])
def test_awaits_the_rollout_of(ploinky: CommandLine, stub: StubServer, change: str) -> None:
    """Starting, restarting and updating are rollouts and awaited like one."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    stub.answer("POST", f"~/deployments/dep1/{change}", Reply(202, rolling(2, "image")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment(lastRollout=ended(2))))
    ran = ploinky("agent", change, "localhost/demo")
    assert (ran.code, ran.out) == (0, "localhost/demo is running\n")
    assert ran.err.splitlines() == ["preparing image", "ready"]


def test_awaits_the_end_of_a_stop(ploinky: CommandLine, stub: StubServer) -> None:
    """Stopping ends when it is stopped."""
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment()), Reply(200, deployment(state="stopped")))
    stub.answer("POST", "~/deployments/dep1/stop", Reply(202, deployment()))
    assert ploinky.succeeds("agent", "stop", "dep1") == "localhost/demo is stopped\n"


def test_has_nothing_to_await_when_it_runs_already(ploinky: CommandLine, stub: StubServer) -> None:
    """Starting what runs changes nothing, also when its last rollout had failed."""
    there = deployment(lastRollout=ended(2, "failed"))
    stub.answer("GET", "~/deployments/dep1", Reply(200, there))
    stub.answer("POST", "~/deployments/dep1/start", Reply(202, there))
    assert json.loads(ploinky.succeeds("agent", "start", "dep1", "--json")) == there


def test_refuses_a_document_without_an_id(ploinky: CommandLine, stub: StubServer) -> None:
    """A server that sends no id is not asked about `None`."""
    stub.answer("POST", "~/deployments", Reply(202, {"path": "/demo"}))
    ran = ploinky(*DEPLOY)
    assert ran.code == 1
    assert "without an id" in ran.err
