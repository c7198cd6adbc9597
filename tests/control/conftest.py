"""Scenarios over a machine in memory."""

import asyncio
from pathlib import Path

import pytest

from tests.control.machine import Play, Scenario, Surroundings, hurry


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run a scenario on a loop of its own."""
    hurry(monkeypatch)

    def run(scenario: Scenario) -> None:
        asyncio.run(scenario(Surroundings(tmp_path)))

    return run
