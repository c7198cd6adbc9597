"""The agent that is crashed with its server: each attempt writes itself down before it does anything."""

import json
from pathlib import Path

from tests.adapters.sources.git_repositories import GitRepository

AGENT = "steady"
LEDGER_FILE = "ledger"
"""In the agent's own folder: one line `task attempt` for each attempt that was begun."""
RELEASE_FILE = "release"
"""In the agent's own folder: lets those go on that hold."""
SLOTS = 10
WORKERS = 8
"""Fewer than slots, so that the last attempts that were sent wait unclaimed."""
BACKOFF_SECONDS = 2.0

NOTED = """
import os
import time

def note(context):
    line = f"{context.task_id} {context.attempt}\\n".encode()
    descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line)
    os.close(descriptor)
"""
QUICK = """
from noted import note

def handle(params, context):
    note(context)
    return {"said": params[0]}
"""
SLOW = """
import time
from noted import note

def handle(params, context):
    note(context)
    time.sleep(0.5)
    return {"said": params[0]}
"""
FAILS = """
from noted import note

def handle(params, context):
    note(context)
    if context.attempt == 1:
        raise ValueError("the first attempt always fails")
    return {"said": params[0]}
"""
DIES = """
import os
from noted import note

def handle(params, context):
    note(context)
    if context.attempt == 1:
        os.kill(os.getpid(), 9)
    return {"said": params[0]}
"""
HOLDS = """
import os
import signal
import time
from noted import note

def handle(params, context):
    note(context)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not os.path.exists("release"):
        time.sleep(0.02)
    return {"said": params[0]}
"""

MANIFEST = {
    "name": AGENT,
    "concurrency": SLOTS,
    "retries": {"max": 6, "backoffSeconds": BACKOFF_SECONDS},
    "timeoutSeconds": 120,
    "install": ["python3", "-c", "pass"],
    "run": ["sh", "-c", f"PLOINKY_CONCURRENCY={WORKERS} PLOINKY_DRAIN_SECONDS=1 exec python3 -m agentcore"],
}


def agent_repository(directory: Path) -> Path:
    """Make a repository with the agent."""
    repository = GitRepository(directory)
    handlers = {"quick": QUICK, "slow": SLOW, "fails": FAILS, "dies": DIES, "holds": HOLDS}
    files = {f"handlers/{name}.py": source for name, source in handlers.items()}
    repository.commit({**files, "noted.py": NOTED, "manifest.json": json.dumps(MANIFEST)})
    return repository.directory
