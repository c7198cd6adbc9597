"""An agent for tests of the whole server: small commands whose effect can be seen from outside."""

from pathlib import Path

from tests.adapters.sources.git_repositories import GitRepository

ECHO = """
def handle(params, context):
    return params
"""
NOTE = """
import os

def handle(params, context):
    with open(params[0], "a") as file:
        file.write(f"{context.task_id} {context.attempt}\\n")
    return "noted"
"""
FAIL = """
class Refused(Exception):
    code = "TOO_SALTY"
    details = {"salt": 3}

def handle(params, context):
    raise Refused("this is refused")
"""
SLOW = """
import time

def handle(params, context):
    time.sleep(float(params[0]))
    return "slept"
"""
GATE = """
import os
import time

def handle(params, context):
    # Ends when the test makes the file.
    while not os.path.exists(params[0]):
        time.sleep(0.01)
    return "opened"
"""
VARIABLE = """
import os

def handle(params, context):
    return os.environ.get(params[0])
"""
SEEN = "#!/bin/sh\nexec cat\n"
"""Answers with the whole task as the agent got it."""

HANDLERS = {
    "handlers/echo.py": ECHO,
    "handlers/note.py": NOTE,
    "handlers/fail.py": FAIL,
    "handlers/slow.py": SLOW,
    "handlers/gate.py": GATE,
    "handlers/variable.py": VARIABLE,
    "handlers/seen.sh": SEEN,
}
PUBLIC = '{"name": "sample", "access": "public", "concurrency": 4}'


def sample_repository(directory: Path, manifest: str = PUBLIC) -> GitRepository:
    """Make a repository whose root is the agent `sample`."""
    repository = GitRepository(directory)
    repository.commit({**HANDLERS, "manifest.json": manifest})
    return repository
