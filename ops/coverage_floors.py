"""Hold the coverage floors of each part; a pytest plugin (`-p ops.coverage_floors`) and a script on a finished run.

As a plugin it speaks before pytest's own summary and turns a broken floor into a failed run. A floor is held against
the statements and branches of all files of its part together; a file that was never imported counts as not covered,
and a part without files is left out.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).resolve().parent.parent
WORST_FILES_SHOWN = 3


@dataclass(frozen=True)
class Floor:
    """Say how much of a part has to be covered. A part is all files whose path begins with one of `prefixes`."""

    part: str
    least_percent: int
    prefixes: tuple[str, ...]


FLOORS = (
    Floor(
        "core",
        90,
        (
            "ploinky/domain/",
            "ploinky/ports/",
            "ploinky/journal/",
            "ploinky/views/",
            "ploinky/policies/",
            "ploinky/usecases/",
        ),
    ),
    Floor("containers", 85, ("ploinky/control/", "ploinky/adapters/docker_", "ploinky/adapters/process_")),
    Floor("agentcore", 80, ("agentcore/",)),
    Floor("client", 85, ("ploinky/client/",)),
)


@dataclass(frozen=True)
class Measured:
    """Hold what was measured for one part, with its least covered files."""

    floor: Floor
    percent: float
    worst: tuple[tuple[float, str], ...]

    @property
    def is_held(self) -> bool:
        return self.percent >= self.floor.least_percent

    def __str__(self) -> str:
        verdict = "held" if self.is_held else "BROKEN"
        worst = ", ".join(f"{name} {percent:.0f}" for percent, name in self.worst)
        headline = f"{self.floor.part:<10} {self.percent:5.1f} % (floor {self.floor.least_percent}) {verdict}"
        return f"{headline}; least: {worst}"


def measure(files: Mapping[str, Any]) -> Iterator[Measured]:
    """Yield the coverage of each part. **Shape** of `files`: path -> file record of coverage's JSON report."""
    for floor in FLOORS:
        by_file: list[tuple[float, str]] = []
        reached = total = 0
        for name, record in files.items():
            summary = record["summary"]
            size = summary["num_statements"] + summary["num_branches"]
            if size and name.startswith(floor.prefixes):
                covered = summary["covered_lines"] + summary["covered_branches"]
                by_file.append((100 * covered / size, name))
                reached, total = reached + covered, total + size
        if total:
            yield Measured(floor, 100 * reached / total, tuple(sorted(by_file)[:WORST_FILES_SHOWN]))


def measure_last_run() -> list[Measured]:
    """Read `.coverage` of the checkout. **Raises** `coverage.CoverageException` when nothing was measured."""
    run = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"), data_file=str(ROOT / ".coverage"))
    run.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        run.json_report(outfile=str(report))
        return list(measure(json.loads(report.read_bytes())["files"]))


REPORT = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a floor is broken; only in the process that collected everybody's measurements."""
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return
    measured = measure_last_run()
    session.config.stash[REPORT] = [str(one) for one in measured]
    if not all(one.is_held for one in measured):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one line per part before pytest's own summary line."""
    if lines := config.stash.get(REPORT, []):
        terminalreporter.section("coverage floors")
        for line in lines:
            terminalreporter.line(line)


def main() -> int:
    """Print what the last measured run reached; 1 when a floor is broken."""
    measured = measure_last_run()
    for one in measured:
        print(one)
    return 0 if all(one.is_held for one in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
