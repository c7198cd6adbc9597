"""Changes to what is deployed are seen through to their end, and each end is told apart."""

import json
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, ended, rolling
from tests.cli.stub_server import Reply, StubServer, page_of

GET, ONE = "GET", "~/deployments/dep1"
REVERTED = ended(
    3,
    "reverted",
    step="verify",
    code="AGENT_EXITED",
    message="The agent exited with code 3 soon after the switch",
    hint="Its last lines are attached.",
    exitCode=3,
    explanation="the agent's own",
    probe="GET /health: connection refused",
    logTail="Traceback:\n  bad\x1b[2J",
)


def instance(number: int, **changes: Any) -> dict[str, Any]:
    document = {
        "id": f"dep1.1.{number}",
        "generation": 1,
        "status": "running",
        "isReady": True,
        "isUnobservable": False,
        "exitCode": None,
        "explanation": "",
        "reason": "",
    }
    return {**document, **changes}


def scaled(replicas: int, *instances: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return deployment(replicas=replicas, instances=[*instances], **changes)


@pytest.fixture
def there(stub: StubServer) -> StubServer:
    """A deployment at /demo."""
    stub.answer(GET, "~/deployments", Reply(200, page_of(scaled(1, instance(0)))))
    return stub


def test_rolls_back_and_waits(ploinky: CommandLine, there: StubServer) -> None:
    """A roll back is a rollout with its steps, and while it is watched that is said with how long."""
    watched = rolling(3, "verify")
    watched["rollout"]["watchSeconds"] = 5.0
    there.answer("POST", f"{ONE}/rollback", Reply(202, rolling(3, "image")))
    there.answer(
        GET, ONE, Reply(200, rolling(3, "start")), Reply(200, watched), Reply(200, deployment(lastRollout=ended(3)))
    )
    ran = ploinky("rollback", "/demo")
    assert (ran.code, ran.out) == (0, "localhost/demo is running\n")
    assert ran.err.splitlines() == ["preparing image", "starting", "serving, and watched for 5 s", "ready"]
    assert there.asked("POST", f"{ONE}/rollback")[0].document == {"toGeneration": None}


def test_names_the_generation_to_go_back_to(ploinky: CommandLine, there: StubServer) -> None:
    """`--to` reaches the API; with --no-wait --json what was accepted is printed."""
    there.answer("POST", f"{ONE}/rollback", Reply(202, rolling(3, "image")))
    out = ploinky.succeeds("rollback", "/demo", "--to", "2", "--no-wait", "--json")
    assert json.loads(out) == rolling(3, "image")
    assert there.requests[-1].document == {"toGeneration": 2}


def test_tells_what_was_taken_back(ploinky: CommandLine, there: StubServer) -> None:
    """A reverted rollout ends with 4 and says what serves, and why it was taken back."""
    there.answer("POST", f"{ONE}/update", Reply(202, rolling(3, "verify")))
    there.answer(GET, ONE, Reply(200, deployment(generation=2, lastRollout=REVERTED)))
    ran = ploinky("update", "/demo")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines() == [
        "serving, and watched for a while",
        "error: localhost/demo was taken back: The agent exited with code 3 soon after the switch (AGENT_EXITED)",
        "hint: Its last lines are attached.",
        "outcome: reverted; generation 2 serves as before",
        "step: verify",
        "probe: GET /health: connection refused",
        "exit code: 3 (the agent's own)",
        "last log lines:",
        "  Traceback:",
        "    bad\\x1b[2J",
    ]


@pytest.mark.parametrize("outcome", ["failed", "reverted"])
@pytest.mark.parametrize("command", [("update", "/demo"), ("rollback", "/demo"), ("restart", "/demo")])
def test_prints_the_end_as_json(
    ploinky: CommandLine, there: StubServer, command: tuple[str, str], outcome: str
) -> None:
    """With --json the deployment is printed as it is in the end, also when it ended badly; the code is 4."""
    end = deployment(lastRollout=ended(3, outcome, code="X", message="x"))
    there.answer("POST", f"{ONE}/{command[0]}", Reply(202, rolling(3, "image")))
    there.answer(GET, ONE, Reply(200, end))
    ran = ploinky(*command, "--json")
    assert ran.code == 4
    assert json.loads(ran.out) == end


def test_changes_only_what_is_said(ploinky: CommandLine, there: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is one field; what is unset or reset is null, what is not named is not sent."""
    monkeypatch.setenv("PIN", "1234")
    there.answer("PUT", ONE, Reply(202, rolling(2, "source")))
    ploinky.succeeds(
        *("update", "/demo", "--image", "x:2", "--replicas", "2", "--env", "A=1", "--unset-env", "B"),
        *("--secret", "PIN", "--unset-secret", "OLD", "--reset", "concurrency", "--reset", "task-timeout", "--no-wait"),
    )
    assert there.asked("PUT", ONE)[0].document == {
        "image": "x:2",
        "replicas": 2,
        "env": {"A": "1", "B": None},
        "secrets": {"PIN": "1234", "OLD": None},
        "concurrency": None,
        "timeoutSeconds": None,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        ("update", "/demo", "--env", "A=1", "--unset-env", "A"),
        ("update", "/demo", "--unset-env", "1A"),
        ("update", "/demo", "--image", "x", "--reset", "image"),
        ("update", "/demo", "--reset", "runtime"),
        ("update", "/demo", "--replicas", "0"),
        ("scale", "/demo", "0"),
        ("scale", "/demo", "65"),
        ("scale", "/demo"),
        ("rollback", "/demo", "--to", "0"),
        ("start", "/demo", "--port", "1"),
        ("start", "/demo", "--demo"),
    ],
)
def test_refuses_what_cannot_be_meant(ploinky: CommandLine, there: StubServer, wrong: tuple[str, ...]) -> None:
    """Contradictions and numbers out of bounds are usage errors, and nothing is sent."""
    ran = ploinky(*wrong)
    assert ran.code == 64
    assert "(USAGE)" in ran.err
    assert not there.requests


def test_waits_until_as_many_serve_as_are_wanted(ploinky: CommandLine, there: StubServer) -> None:
    """Scaling up tells how many serve, and ends when all do."""
    coming = instance(1, isReady=False)
    there.answer("POST", f"{ONE}/scale", Reply(202, scaled(2, instance(0))))
    there.answer(
        GET,
        ONE,
        Reply(200, scaled(2, instance(0), coming)),
        Reply(200, scaled(2, instance(0), instance(1))),
    )
    ran = ploinky("scale", "/demo", "2")
    assert (ran.code, ran.out) == (0, "localhost/demo is running, instances wanted: 2\n")
    assert ran.err.splitlines() == ["1 of 2 instances serve", "2 of 2 instances serve"]
    assert there.asked("POST", f"{ONE}/scale")[0].document == {"replicas": 2}


def test_waits_until_those_too_many_are_gone(ploinky: CommandLine, there: StubServer) -> None:
    """Scaling down ends when nothing is left over; what was stopped for it is no failure."""
    leaving = instance(1, status="stopped", isReady=False, reason="scaled", exitCode=143)
    there.answer("POST", f"{ONE}/scale", Reply(202, scaled(1, instance(0), instance(1))))
    there.answer(GET, ONE, Reply(200, scaled(1, instance(0), leaving)), Reply(200, scaled(1, instance(0))))
    ran = ploinky("scale", "/demo", "1")
    assert ran.code == 0
    assert ran.err.splitlines() == ["2 instances serve, 1 will stay", "1 of 1 instances serve"]
    assert len(there.asked(GET, ONE)) == 2


def test_instances_kept_warm_are_not_too_many(ploinky: CommandLine, there: StubServer) -> None:
    """Frozen ones beside those that serve are waited for, and stay."""
    warm = instance(2, status="paused")
    there.answer("POST", f"{ONE}/scale", Reply(202, scaled(2, instance(0), instance(1), warmInstances=1)))
    there.answer(GET, ONE, Reply(200, scaled(2, instance(0), instance(1), warm, warmInstances=1)))
    assert ploinky("scale", "/demo", "2").code == 0
    assert len(there.asked(GET, ONE)) == 1


def test_a_change_of_the_number_alone_is_a_scale(ploinky: CommandLine, there: StubServer) -> None:
    """`update --replicas` waits for instances, not for a rollout that never comes."""
    there.answer("PUT", ONE, Reply(202, scaled(2, instance(0))))
    there.answer(GET, ONE, Reply(200, scaled(2, instance(0), instance(1))))
    assert ploinky("update", "/demo", "--replicas", "2").code == 0
    assert len(there.asked(GET, ONE)) == 1


@pytest.mark.parametrize(
    "end",
    [
        instance(1, status="stopped", isReady=False, reason="exited", exitCode=7, explanation="the agent's own"),
        instance(1, status="created", isReady=False, reason="IMAGE_UNAVAILABLE", explanation="no such image"),
    ],
)
def test_says_which_instance_does_not_serve(ploinky: CommandLine, there: StubServer, end: dict[str, Any]) -> None:
    """An instance that ends while it is waited for is a failure with 4; --json has the deployment as it is."""
    failed = scaled(2, instance(0), end)
    there.answer("POST", f"{ONE}/scale", Reply(202, scaled(2, instance(0))))
    there.answer(GET, ONE, Reply(200, failed))
    ran = ploinky("scale", "/demo", "2", "--json")
    assert ran.code == 4
    assert json.loads(ran.out) == failed
    assert "instance dep1.1.1 ended" in ran.err
    assert end["explanation"] in ran.err
    assert "1 of 2 instances serve" in ran.err


def test_an_instance_that_had_ended_before_is_no_news(ploinky: CommandLine, stub: StubServer) -> None:
    """What was already being replaced when the wish came says nothing about it."""
    old = instance(0, status="stopped", isReady=False, reason="exited", exitCode=1)
    stub.answer(GET, "~/deployments", Reply(200, page_of(scaled(2, old, instance(1)))))
    stub.answer("POST", f"{ONE}/scale", Reply(202, scaled(3, old, instance(1))))
    stub.answer(
        GET,
        ONE,
        Reply(200, scaled(3, old, instance(1), instance(2))),
        Reply(200, scaled(3, instance(1), instance(2), instance(3))),
    )
    assert ploinky("scale", "/demo", "3").code == 0


@pytest.mark.parametrize("state", ["stopped", "idle", "failed"])
def test_does_not_wait_for_what_does_not_run(ploinky: CommandLine, there: StubServer, state: str) -> None:
    """Of a deployment that nothing should serve now no instance will come, so there is nothing to wait for."""
    there.answer("POST", f"{ONE}/scale", Reply(202, scaled(3, state=state)))
    assert ploinky.succeeds("scale", "/demo", "3") == f"localhost/demo is {state}, instances wanted: 3\n"


def test_stops_and_starts_without_the_group(ploinky: CommandLine, there: StubServer) -> None:
    """`stop PATH` and `start PATH` are those of `ploinky agent`."""
    there.answer("POST", f"{ONE}/stop", Reply(202, deployment()))
    there.answer(GET, ONE, Reply(200, deployment(state="stopped")))
    assert ploinky.succeeds("stop", "/demo") == "localhost/demo is stopped\n"
    there.answer("POST", f"{ONE}/start", Reply(202, rolling(2, "image")))
    there.answer(GET, ONE, Reply(200, deployment(lastRollout=ended(2))))
    assert ploinky.succeeds("start", "/demo") == "localhost/demo is running\n"


def test_lists_the_releases(ploinky: CommandLine, there: StubServer) -> None:
    """The history is a table with the serving one marked; an end that was no success is told below."""
    release = {
        "generation": 2,
        "isActive": True,
        "reason": "update",
        "actor": "key:1",
        "switchedAt": "2026-01-01T00:00:00Z",
        "commit": "0123456789abcdef",
        "image": "agents:1",
        "runtime": "docker",
        "replicas": 3,
    }
    found = {"data": [release, {**release, "generation": 1, "isActive": False}], "lastRollout": REVERTED}
    there.answer(GET, f"{ONE}/history", Reply(200, found))
    ran = ploinky("history", "/demo")
    assert ran.code == 0
    title, first, second = ran.out.splitlines()
    assert title.split()[:4] == ["GENERATION", "SERVES", "REASON", "COMMIT"]
    assert first.split()[:4] == ["2", "yes", "update", "0123456789"]
    assert second.split()[:2] == ["1", "no"]
    assert ran.err.startswith("last rollout: generation 3 reverted at verify: The agent exited")
    assert json.loads(ploinky.succeeds("history", "/demo", "--json")) == found


def test_says_when_nothing_has_served(ploinky: CommandLine, there: StubServer) -> None:
    """An empty history is said, not shown as an empty table."""
    there.answer(GET, f"{ONE}/history", Reply(200, {"data": [], "lastRollout": None}))
    ran = ploinky("history", "/demo")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing has served here yet" in ran.err
