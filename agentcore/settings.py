"""Read what the server tells the agent through the environment."""

import os
import sys
from typing import Mapping, NamedTuple, Optional

from agentcore.limits import DEFAULT_CONCURRENCY_WORKERS, DEFAULT_DRAIN_SECONDS, MAX_CONCURRENCY_WORKERS


class Settings(NamedTuple):
    """What does not change while the agent runs."""

    agent: str
    domain: str
    path: str
    agent_directory: str
    queue_directory: str
    concurrency_workers: Optional[int]  # None: the manifest decides, else the default
    drain_seconds: float
    is_watching: bool  # False: the folders are only scanned, never watched

    def workers(self, manifest_concurrency: Optional[int]) -> int:
        """Choose between the environment, the manifest and the default, in this order."""
        wanted = self.concurrency_workers or manifest_concurrency or DEFAULT_CONCURRENCY_WORKERS
        return min(wanted, MAX_CONCURRENCY_WORKERS)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; a value that is no number is told on stderr and the default holds."""
    agent_directory = os.path.abspath(environment.get("AGENT_DIR") or "/agent")
    queue_directory = environment.get("PLOINKY_QUEUE_DIR") or os.path.join(agent_directory, ".ploinky", "queue")
    concurrency = _number(environment, "PLOINKY_CONCURRENCY", 0)
    return Settings(
        agent=environment.get("PLOINKY_AGENT") or os.path.basename(agent_directory) or "agent",
        domain=environment.get("PLOINKY_DOMAIN", ""),
        path=environment.get("PLOINKY_PATH", ""),
        agent_directory=agent_directory,
        queue_directory=os.path.abspath(queue_directory),
        concurrency_workers=int(concurrency) if concurrency >= 1 else None,
        drain_seconds=_number(environment, "PLOINKY_DRAIN_SECONDS", DEFAULT_DRAIN_SECONDS),
        is_watching=environment.get("PLOINKY_WATCH", "inotify") != "poll",
    )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        print(f"agentcore: {name}={text!r} is not a number of 0 or more, using {default:g}", file=sys.stderr)
        return default
    return number
