"""Redeploys of a cached image: Ploinky beside `docker run` and, where it is installed, `docker compose up -d`.

Each round publishes a new version for each contender, one after the other, of two agents: one that takes tasks from
its queue, one with a web server. The image is there already; all use the same and run the same code in it.

- ploinky: from the request to update to the new version's first answer on the deployment's URL; git commit to commit
- docker run: from the call (over the engine's API, no program to start) to the same readiness: the ready file of the
  task runner, the new version's answer of the web server
- compose: the same from `up -d` on; it stops the old container first, so it does not serve meanwhile

Only ratios of one run say something.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import docker

from ops.benchmarks._deploy_agents import KINDS, TASKS, AgentKind
from ops.benchmarks._deploy_ours import Ours
from ops.benchmarks._deploy_peers import Compose, PlainRun, compose_command
from ops.benchmarks._rows import print_head, print_row
from ops.benchmarks._server import started_server
from ploinky.adapters.docker_runtime import DockerRuntime

SHORTEST_ROUNDS = 3
LIMIT_RATIO = 1.1
LIMIT_EXTRA_SECONDS = 0.150
OURS = "ploinky"
PLAIN = "docker run"
COMPOSE = "compose"

Redeploy = Callable[[AgentKind, str], float]


class Measured:
    """Seconds by contender and kind of agent, and the steps of ours."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.steps: dict[str, list[float]] = defaultdict(list)


def run_rounds(ours: Ours, contenders: dict[str, Redeploy], rounds: int) -> Measured:
    """Alternate the contenders; a first round of each, unmeasured, warms the engine's caches."""
    measured = Measured()
    for number in range(rounds + 1):
        for kind in KINDS:
            for name, redeploy in contenders.items():
                seconds = redeploy(kind, f"version{number}")
                if number:
                    measured.seconds[name, kind.name].append(seconds)
            if number and kind is TASKS:
                for step, milliseconds in ours.steps(kind).items():
                    measured.steps[step].append(milliseconds)
    return measured


def report(measured: Measured, rounds: int) -> bool:
    """Print times, ratios and steps; return whether the bar is reached."""
    print(f"{rounds} rounds")
    print_head("ms until the new version is ready")
    for (name, of_kind), seconds in measured.seconds.items():
        print_row(f"{name}, {of_kind}", [second * 1000 for second in seconds], ".0f")
    print_head("ratio")
    are_reached = True
    for kind in KINDS:
        ours, plain = (measured.seconds[name, kind.name] for name in (OURS, PLAIN))
        limit = LIMIT_RATIO * statistics.median(plain) + LIMIT_EXTRA_SECONDS
        is_reached = statistics.median(ours) <= limit
        are_reached &= is_reached
        verdict = f"at most {LIMIT_RATIO} x + {LIMIT_EXTRA_SECONDS * 1000:.0f} ms = {limit * 1000:.0f} ms: "
        verdict += "reached" if is_reached else "MISSED"
        print_row(f"{OURS} / {PLAIN}, {kind.name}", _ratios(ours, plain), ".2f", verdict)
        compose = measured.seconds.get((COMPOSE, kind.name))
        if compose:
            print_row(f"{OURS} / {COMPOSE}, {kind.name}", _ratios(ours, compose), ".2f", "no bar")
    print_head("ms of ours between steps, tasks")
    for step, milliseconds in measured.steps.items():
        print_row(f"to {step}", milliseconds, ".0f")
    print(
        "Differs: ours fetches a commit, copies the code, hardens the container, records each step durably, keeps the"
    )
    print("old version serving, and is timed to the first answer through it; docker run is timed to readiness alone.")
    return are_reached


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def run_all(folder: Path, rounds: int) -> Measured:
    """Start everything, measure, and remove everything."""
    runtime = DockerRuntime()
    image = runtime.resolve_image("", print).reference
    runtime.close()
    engine = docker.from_env()
    command = compose_command()
    compose = Compose(engine, folder, image, command) if command else None
    if compose is None:
        print("compose: not installed, left out")
    try:
        with started_server(folder, "docker") as server:
            ours = Ours(engine, server, folder / "repositories")
            contenders: dict[str, Redeploy] = {OURS: ours.redeploy, PLAIN: PlainRun(engine, folder, image).redeploy}
            if compose:
                contenders[COMPOSE] = compose.redeploy
            measured = run_rounds(ours, contenders, rounds)
            ours.close()
        return measured
    finally:
        if compose:
            for kind in KINDS:
                compose.close(kind)
        engine.close()


def main() -> None:
    """Alternate the contenders and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help=f"at least {SHORTEST_ROUNDS}")
    parser.add_argument("--directory", default=None, help="a folder on the disk to measure; default: the temporary one")
    options = parser.parse_args()
    rounds = max(SHORTEST_ROUNDS, options.rounds)
    with tempfile.TemporaryDirectory(prefix="deploy-", dir=options.directory) as folder:
        measured = run_all(Path(folder), rounds)
    if not report(measured, rounds):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
