"""Agents that break their queue, say nothing, or do not stay: replaced, and their tasks end with a reason."""

import pytest

from tests.hostile.conftest import Victims
from tests.waiting import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.slow]

LONG_SECONDS = 60.0


@pytest.mark.parametrize("attack", ["linked_folder", "wiped_queue"])
def test_replaces_an_agent_that_breaks_its_queue(victims: Victims, attack: str) -> None:
    """A queue that is not the one that was made is used no more; its task is lost, the next instance works."""
    hostile = victims.attack(attack)
    ended = victims.end_of(victims.submit(hostile))
    assert ended["state"] == "dead"
    assert ended["error"]["code"] == "TASK_LOST"  # type: ignore[index]
    # In a sandbox the queue cannot be replaced: the agent ends of trying.
    assert any(word in ended["error"]["message"] for word in ("queue", "its agent ended")), ended  # type: ignore[index]
    _await_generation(victims, hostile, 2)
    assert victims.end_of(victims.submit(hostile, "well"))["result"] == "well"
    victims.remove(hostile)


def test_survives_a_flood(victims: Victims) -> None:
    """Thousands of names are cleared away as they come, or the instance is replaced; either way the next task works."""
    hostile = victims.attack("flood", retries=2)
    assert victims.end_of(victims.submit(hostile))["state"] in {"succeeded", "dead"}
    victims.check()
    assert victims.end_of(victims.submit(hostile, "well"))["result"] == "well"
    victims.remove(hostile)


def test_stays_in_the_folders_it_made(victims: Victims) -> None:
    """Replacing `tasks` and `cancel` by links sends nothing outside; the task still ends."""
    hostile = victims.attack("wiped_tasks")
    assert victims.end_of(victims.submit(hostile))["state"] in {"succeeded", "dead"}
    victims.remove(hostile)


def test_repeats_what_a_silent_agent_has(victims: Victims) -> None:
    """A claim without a sign of life is given up with its instance, and the next attempt succeeds."""
    hostile = victims.attack("silent", retries=2)
    lost = victims.submit(hostile)
    ended = victims.end_of(lost)
    assert ended["result"] == "well"
    assert ended["attempt"] == 2
    assert victims.server.deployment(hostile)["generation"] >= 2
    victims.remove(hostile)


def test_loses_what_nobody_claims(victims: Victims) -> None:
    """An attempt that is never claimed ends with its deadline, and says that no repetition is left."""
    hostile = victims.attack("never_claims", timeoutSeconds=1)
    ended = victims.end_of(victims.submit(hostile))
    assert ended["state"] == "dead"
    assert ended["error"]["code"] == "TASK_LOST"  # type: ignore[index]
    assert "time limit" in ended["error"]["message"], ended  # type: ignore[index]
    victims.remove(hostile)


def test_pauses_longer_after_each_exit(victims: Victims) -> None:
    """An agent that ends again and again is started less and less often, and people see why."""
    hostile = victims.attack("exits")

    def restarts() -> list[dict[str, object]]:
        events = victims.server.api("GET", "/events?after=0&limit=1000&type=deployment.restart_scheduled").document
        return [event for event in events["data"] if event["stream"] == f"deployment/{hostile}"]

    wait_until(lambda: len(restarts()) >= 3, timeout_seconds=LONG_SECONDS, what="three restarts")
    failures = [event["data"]["failures"] for event in restarts()]  # type: ignore[index]
    assert failures[:3] == [1, 2, 3]
    assert victims.server.deployment(hostile)["state"] in {"restarting", "running"}
    victims.remove(hostile)


def _await_generation(victims: Victims, deployment_id: str, generation: int) -> None:
    def is_there() -> bool:
        found = victims.server.deployment(deployment_id)
        return found["generation"] >= generation and any(each["isReady"] for each in found["instances"])

    wait_until(is_there, timeout_seconds=LONG_SECONDS, what="the next generation")
