"""The steps at which rounds end the server, and when each is waited for."""

from enum import StrEnum
from typing import NamedTuple


class When(StrEnum):
    """In which life of the server a step is reached."""

    LOAD = "under load"
    AGENT_KILLED = "after an agent was killed"
    SHUTDOWN = "while it stops"
    RECOVERY = "while it recovers"


class Step(NamedTuple):
    """One place to be killed at; without a name it is a random moment."""

    name: str
    when: When = When.LOAD


EFFECTS = (
    *("fetch_source", "ready_image", "install_dependencies", "start_instance"),
    *("stop_instance", "remove_instance", "discard_deployment"),
)
INSTANCE_STEPS = ("queue_made", "made", "drained", "stopped", "removed")
INSTALL = "install."
ENDS_OF_BAD_VERSIONS = ("rollout.reverted", "rollout.failed")
"""Reached by the rounds of deploys only: under load every version is a good one."""
TASK_STEPS = (
    *("submit_committed", "attempt_committed", "attempt_sent", "result_found", "end_committed", "settled"),
    *("cancel_committed", "cancel_sent"),
)

STEPS: tuple[Step, ...] = (
    *(Step(f"journal.append.{place}") for place in ("begin", "commit", "done")),
    *(Step(f"task.{name}") for name in TASK_STEPS),
    *(Step(f"executor.{place}.{effect}") for effect in EFFECTS for place in ("before", "after", "recorded")),
    *(Step(f"instance.{name}") for name in INSTANCE_STEPS),
    *(Step(f"{INSTALL}{name}") for name in ("made", "filled")),
    *(Step(f"rollout.{name}") for name in ("switched", "succeeded")),
    Step("observer.listed"),
    *(
        Step(name, When.AGENT_KILLED)
        for name in ("task.expiry_committed", "observer.end_found", "observer.end_recorded")
    ),
    *(Step(name, When.SHUTDOWN) for name in ("snapshot.written", "snapshot.saved")),
    *(Step(name, When.RECOVERY) for name in ("start.views_restored", "observer.adopted")),
)
RANDOM = Step("a random moment")


ROUNDS_PER_SECOND_KILL = 3


def plan(rounds: int) -> list[tuple[str, tuple[Step, ...]]]:
    """Return (runtime, kills) of each round: every step, then random moments, over and over; each third has two.

    The runtimes alternate, and a step that comes again comes on the other one.
    """
    planned: list[tuple[str, tuple[Step, ...]]] = []
    count = 0
    for number in range(rounds):
        kills: list[Step] = []
        for _ in range(2 if number % ROUNDS_PER_SECOND_KILL == 0 else 1):
            kills.append(EVERY_KILL[count % len(EVERY_KILL)])
            count += 1
        if kills[0].when is When.RECOVERY:
            kills.insert(0, RANDOM)
        planned.append((("process", "docker")[number % 2], tuple(kills)))
    return planned


EVERY_KILL = (*STEPS, *[RANDOM] * 9)
