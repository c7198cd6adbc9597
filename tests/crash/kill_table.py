"""A plugin that counts at which steps the rounds ended the server, over all workers, and shows it at the end."""

import os
from collections import Counter

import pytest

from tests.crash.steps import EVERY_KILL, plan

VARIABLE = "PLOINKY_CRASH_ROUNDS"
DEFAULT_ROUNDS = 40
PROPERTY = "killed at"


def rounds() -> int:
    """Return how many rounds are asked for."""
    return int(os.environ.get(VARIABLE, DEFAULT_ROUNDS))


class KillTable:
    """What the reports of the rounds say."""

    def __init__(self, planned_rounds: int) -> None:
        self._planned_rounds = planned_rounds
        self._rounds = 0
        self._hits: Counter[str] = Counter()

    def note(self, properties: list[tuple[str, object]]) -> None:
        """Take one report in."""
        kills = [str(value) for name, value in properties if name == PROPERTY]
        self._rounds += bool(kills)
        self._hits.update(kills)

    @property
    def missing(self) -> list[str]:
        """The steps that a whole run should have reached and did not."""
        expected = {step.name for _, kills in plan(self._planned_rounds) for step in kills}
        return sorted(expected - self._hits.keys()) if self._rounds >= self._planned_rounds else []

    def lines(self) -> list[str]:
        """Return the table; nothing when no round ran."""
        if not self._rounds:
            return []
        names = dict.fromkeys(step.name for step in EVERY_KILL)
        table = [f"{name:<45} x {self._hits[name]}" for name in names]
        return [f"{self._rounds} rounds, {self._hits.total()} kills", *table]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.note(report.user_properties)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = self.lines()
        if lines:
            terminalreporter.section("kill -9: step x hits")
            for line in lines:
                terminalreporter.line(line)
        for name in self.missing:
            terminalreporter.line(f"{name} was never reached, so the run fails", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(KillTable(rounds()))
