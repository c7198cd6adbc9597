"""The server is killed at each step of a deploy: every deploy ends in one way, what served goes on, nothing is left."""

from pathlib import Path

import pytest

from tests.crash.deploy_round import KILLS, DeployRound, Kill
from tests.crash.verification import check_stop

pytestmark = [pytest.mark.crash, pytest.mark.slow]

KILLS_PER_ROUND = 4
PROCESS_ROUND_INTERVAL = 3
"""Docker has every step; of processes, whose steps are the same code, each third round is enough."""


def cases() -> list[object]:
    """Make a parameter of each round."""
    rounds = [KILLS[first : first + KILLS_PER_ROUND] for first in range(0, len(KILLS), KILLS_PER_ROUND)]
    planned = [("docker", kills) for kills in rounds] + [
        ("process", kills) for kills in rounds[::PROCESS_ROUND_INTERVAL]
    ]
    return [
        pytest.param(
            runtime,
            kills,
            id=f"{runtime}-" + "-then-".join(kill.step for kill in kills),
            marks=[pytest.mark.docker] if runtime == "docker" else [],
        )
        for runtime, kills in planned
    ]


@pytest.mark.parametrize(("runtime", "kills"), cases())
def test_ends_every_deploy(tmp_path: Path, runtime: str, kills: tuple[Kill, ...]) -> None:
    """After each kill the deploy goes on and ends once: a good version serves, a bad one was taken back."""
    round_ = DeployRound(tmp_path, runtime)
    try:
        round_.run(kills)
        check_stop(round_)
    finally:
        round_.close()
