"""An agent for tests of the whole server: small commands whose effect can be seen from outside."""

from pathlib import Path

from tests.adapters.sources.git_repositories import GitRepository

ECHO = """
def handle(params, context):
    return params
"""
NOTE = """
import socket

def handle(params, context):
    host, _, port = params[0].partition(":")
    with socket.create_connection((host, int(port))) as notes:
        notes.sendall(f"{context.task_id} {context.attempt}\\n".encode())
        notes.shutdown(socket.SHUT_WR)
        notes.recv(1)
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
import signal
import socket

def handle(params, context):
    # Ends when the test opens its gate; what is no address of one is never opened.
    host, _, port = params[0].partition(":")
    if not port:
        signal.pause()
    try:
        with socket.create_connection((host, int(port))) as gate:
            gate.recv(1)
    except OSError:
        pass
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
