"""Rounds of kill -9 at named steps and at random moments, under load: nothing accepted is lost, nothing is left."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.agent import agent_repository
from tests.crash.kill_table import PROPERTY, rounds
from tests.crash.round import Round
from tests.crash.steps import Step, plan
from tests.crash.verification import check

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def cases() -> list[object]:
    """Make a parameter of each round."""
    return [
        pytest.param(
            number,
            runtime,
            kills,
            id=f"{number}-{runtime}-" + "-then-".join(step.name.replace(" ", "-") for step in kills),
            marks=[pytest.mark.docker] if runtime == "docker" else [],
        )
        for number, (runtime, kills) in enumerate(plan(rounds()))
    ]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the agent once for all rounds."""
    return agent_repository(tmp_path_factory.mktemp("agent") / "repository")


@pytest.mark.parametrize(("number", "runtime", "kills"), cases())
def test_loses_nothing_when_killed(
    tmp_path: Path,
    repository: Path,
    record_property: Callable[[str, object], None],
    number: int,
    runtime: str,
    kills: tuple[Step, ...],
) -> None:
    """Every accepted task ends once and well, the views are what the journal says, and nothing is left behind."""
    round_ = Round(tmp_path, repository, runtime, number, lambda name: record_property(PROPERTY, name))
    try:
        round_.run(kills)
        check(round_)
    finally:
        round_.close()
