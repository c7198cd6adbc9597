"""The first answer of an agent that nobody needed for a while: frozen instances beside stopped ones, both on Docker.

Each round lets two deployments of the same agent go idle, one with `warmInstances` and one without, and then calls each
once: the first is unfrozen, the second is started as a new generation while the call waits.

Only ratios of one run say something.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from ops.benchmarks._deploy_agents import ANSWER_LIMIT_SECONDS, TASKS, AgentRepository, await_condition
from ops.benchmarks._rows import print_head, print_row
from ops.benchmarks._server import await_serving, started_server
from ploinky.client import PloinkyClient

SHORTEST_ROUNDS = 3
LIMIT_RATIO = 0.2
IDLE_SECONDS = 2
WARM, COLD = "warm", "cold"
EXTRAS: dict[str, dict[str, object]] = {WARM: {"warmInstances": 1}, COLD: {}}
IDLE_STATUSES: dict[str, frozenset[str]] = {WARM: frozenset({"paused"}), COLD: frozenset()}


class Sleepers:
    """The two deployments."""

    def __init__(self, client: PloinkyClient, url: str, folder: Path) -> None:
        """Deploy them."""
        self._client = client
        self._url = url
        self._ids: dict[str, str] = {}
        for name, extra in EXTRAS.items():
            kind = TASKS._replace(name=name, manifest={"idleTimeoutSeconds": IDLE_SECONDS, **extra})
            repository = AgentRepository(kind, folder / name)
            client.deploy("127.0.0.1", f"/{name}", name, str(repository.folder), runtime="docker")
            self._ids[name] = await_serving(client, f"/{name}")

    def wake(self, name: str) -> float:
        """Let one go idle; return the seconds until it answers a call."""
        await_condition(lambda: self._statuses(name) == IDLE_STATUSES[name], f"{name} never went idle")
        began = time.perf_counter()
        with urlopen(f"{self._url}/{name}/version", timeout=ANSWER_LIMIT_SECONDS) as response:  # noqa: S310 - our own
            if response.read() != b'"first"':
                raise RuntimeError("another answer than the agent's")
        return time.perf_counter() - began

    def _statuses(self, name: str) -> frozenset[str]:
        time.sleep(0.1)
        return frozenset(one["status"] for one in self._client.deployment(self._ids[name])["instances"])


def report(warm: list[float], cold: list[float]) -> bool:
    """Print times and their ratio; return whether the bar is reached."""
    print_head("ms from the call to its answer")
    print_row("warm: frozen instances", [seconds * 1000 for seconds in warm], ".0f")
    print_row("cold: a new generation", [seconds * 1000 for seconds in cold], ".0f")
    ratios = [mine / other for mine, other in zip(warm, cold, strict=True)]
    is_reached = statistics.median(ratios) <= LIMIT_RATIO
    print_head("ratio")
    print_row("warm / cold", ratios, ".3f", f"at most {LIMIT_RATIO}: {'reached' if is_reached else 'MISSED'}")
    return is_reached


def main() -> None:
    """Alternate the two and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help=f"at least {SHORTEST_ROUNDS}")
    parser.add_argument("--directory", default=None, help="a folder on the disk to measure; default: the temporary one")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in EXTRAS}
    with (
        tempfile.TemporaryDirectory(prefix="wake-", dir=options.directory) as folder,
        started_server(Path(folder), "docker") as server,
        PloinkyClient(server.url, server.key) as client,
    ):
        sleepers = Sleepers(client, server.url, Path(folder))
        for _ in range(max(SHORTEST_ROUNDS, options.rounds)):
            for name in EXTRAS:
                seconds[name].append(sleepers.wake(name))
    if not report(seconds[WARM], seconds[COLD]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
