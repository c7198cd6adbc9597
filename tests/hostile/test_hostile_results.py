"""Agents that answer with something else than a result: their own task fails and says why."""

from pathlib import Path

import pytest

from tests.hostile.conftest import SECRET, Victims
from tests.server.outside import Gate

pytestmark = [pytest.mark.crash, pytest.mark.slow]

MOST_GROWTH_BYTES = 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("linked_result", "link"),
        ("linked_error", "link"),
        ("pipe", "regular"),
        ("folder", "regular"),
        ("wrong_id", "another"),
        ("half_written", "JSON"),
    ],
)
def test_fails_what_is_no_result(victims: Victims, attack: str, reason: str) -> None:
    """The task fails with RESULT_INVALID and the reason; what a link points to is neither read nor removed."""
    hostile = victims.attack(attack)
    ended = victims.end_of(victims.submit(hostile))
    assert ended["state"] == "failed"
    assert ended["error"]["code"] == "RESULT_INVALID"  # type: ignore[index]
    assert reason in ended["error"]["message"], ended  # type: ignore[index]
    assert SECRET not in str(ended)
    assert victims.end_of(victims.submit(hostile, "well"))["result"] == "well"
    victims.remove(hostile)


@pytest.mark.parametrize("attack", ["linked_socket", "wrong_attempt"])
def test_ignores_what_means_nothing(victims: Victims, attack: str) -> None:
    """Files that are nobody's answer change nothing: the proper one beside them counts."""
    hostile = victims.attack(attack)
    assert victims.end_of(victims.submit(hostile))["result"] == "well"
    assert victims.end_of(victims.submit(hostile, "well"))["result"] == "well"
    victims.remove(hostile)


def test_ends_once_when_answered_twice(victims: Victims) -> None:
    """A result and an error for one attempt: one of them counts, once."""
    hostile = victims.attack("both")
    task = victims.submit(hostile)
    assert victims.end_of(task)["state"] in {"succeeded", "failed"}
    events = victims.server.api("GET", "/events?after=0&limit=1000").document["data"]
    ends = [event for event in events if event["stream"] == f"task/{task}" and event["type"] in ENDS]
    assert len(ends) == 1
    victims.remove(hostile)


ENDS = {"task.succeeded", "task.failed", "task.cancelled", "task.dead"}


def test_does_not_read_a_huge_result(victims: Victims) -> None:
    """A result of a gigabyte is refused by its size, before any of it is in memory."""
    hostile = victims.attack("huge")
    before = _memory_bytes(victims)
    ended = victims.end_of(victims.submit(hostile))
    assert ended["error"]["code"] == "RESULT_INVALID"  # type: ignore[index]
    assert _memory_bytes(victims) - before < MOST_GROWTH_BYTES
    victims.remove(hostile)


def test_nobody_answers_for_others(victims: Victims) -> None:
    """Results for the tasks of another deployment change nothing there."""
    gate = Gate()
    victim = victims.submit(victims.good_id, "gate", str(gate))
    victims.server.await_task(victim, "running")
    hostile = victims.attack("of_others")
    assert victims.end_of(victims.submit(hostile, "attack", victim))["result"] == "well"
    assert victims.server.task(victim)["state"] == "running"
    gate.touch()
    assert victims.end_of(victim)["result"] == "opened"
    victims.remove(hostile)


def _memory_bytes(victims: Victims) -> int:
    status = Path(f"/proc/{victims.server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
