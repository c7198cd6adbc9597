"""Find out once, with a real container, what an engine does for agents: whether it runs them at all, and as whom.

The container is made like an agent's, in a folder of its own: it writes a file and opens a Unix socket there. Whose the
file is and whether the socket answers is what counts, whatever the engine says of itself.
"""

import os
import shutil
import socket
import time
from pathlib import Path
from typing import Protocol

import msgspec

from ploinky.adapters.docker_runtime_identity import TRIAL_USER_ID, Identity
from ploinky.domain.errors import PloinkyError
from ploinky.ports.runtime import LABEL_JOURNAL, InstanceSpec, Observation, ObservedState

TRIAL_SECONDS = 8.0
POLL_SECONDS = 0.02
ANSWER = b"here"
JOURNAL_OF_TRIALS = "trial"
LABEL_FOLDER = "ploinky.trial-folder"
MAX_PROBLEM_CHARACTERS = 500
OCI_RUNTIME_HINT = (
    'Choose another OCI runtime, as `runtime = "runc"` in the section [engine] of containers.conf, and restart '
    "the engine: its clients cannot choose."
)

# Runs inside: the queue's folder is the one that both sides see.
_PROGRAM = f"""
import os, socket
os.chdir(os.environ["PLOINKY_QUEUE_DIR"])
server = socket.socket(socket.AF_UNIX)
try:
    server.bind("socket")
    server.listen()
except OSError as error:
    print(error, flush=True)
open("file", "x").close()
server.settimeout({TRIAL_SECONDS})
server.accept()[0].sendall({ANSWER!r})
"""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial found out."""

    engine: str
    """Which engine was asked: its version and place, and by whom. Of any other nothing is known."""
    identity: Identity
    reaches_sockets: bool = True
    """False where the engine runs in a machine of its own: its agents are spoken to by files."""
    problem: str = ""
    """Why agents cannot run there; empty when they can."""
    hint: str = ""


class Ground(Protocol):
    """What a trial needs of the runtime that is tried."""

    def create(self, spec: InstanceSpec) -> str: ...
    def start(self, name: str) -> None: ...
    def inspect(self, name: str) -> Observation | None: ...
    def list(self, journal_id: str) -> list[Observation]: ...
    def remove(self, name: str) -> None: ...
    def logs(self, name: str, tail_lines: int) -> bytes: ...


def try_out(runtime: Ground, findings: Findings, image: str, folder: Path) -> Findings:
    """Run the trial's container over a folder that is made for it, and return the findings with what came out.

    **Raises** what the runtime raises when the engine does not answer, which is no finding.
    """
    for left in runtime.list(JOURNAL_OF_TRIALS):
        if left.labels.get(LABEL_FOLDER) == str(folder):
            runtime.remove(left.name)
    spec = _specification(folder, image, TRIAL_USER_ID if findings.identity is Identity.ALLOCATED else None)
    try:
        runtime.create(spec)
        runtime.start(spec.name)
        queue = Path(spec.queue_directory)
        problem = _await_file(runtime, spec, queue / "file")
        if problem:
            return msgspec.structs.replace(findings, problem=problem[:MAX_PROBLEM_CHARACTERS])
        return msgspec.structs.replace(findings, reaches_sockets=_answers(queue))
    except PloinkyError as error:
        if error.is_retryable:
            raise
        hint = OCI_RUNTIME_HINT if "OCI" in error.message else error.advice
        return msgspec.structs.replace(findings, problem=error.message[:MAX_PROBLEM_CHARACTERS], hint=hint)
    finally:
        runtime.remove(spec.name)
        shutil.rmtree(folder, ignore_errors=True)


def _specification(folder: Path, image: str, user_id: int | None) -> InstanceSpec:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("code/.ploinky/queue", "agentcore", "queue/tasks", "queue/cancel"):
        (folder / name).mkdir(parents=True)
    for name in ("code", "queue"):
        if user_id is not None:
            os.chown(folder / name, user_id, user_id)
    return InstanceSpec(
        name=f"ploinky-trial-{os.getpid()}-{time.monotonic_ns()}",
        labels={LABEL_JOURNAL: JOURNAL_OF_TRIALS, LABEL_FOLDER: str(folder)},
        image=image,
        command=("python3", "-c", _PROGRAM),
        environment={},
        code_directory=str(folder / "code"),
        agentcore_directory=str(folder / "agentcore"),
        queue_directory=str(folder / "queue"),
        log_path="",
        user_id=user_id,
        has_network=False,
    )


def _await_file(runtime: Ground, spec: InstanceSpec, file: Path) -> str:
    """Wait until the file is there; return what is wrong with it, or why it never came."""
    deadline = time.monotonic() + TRIAL_SECONDS
    while time.monotonic() < deadline:
        if file.exists():
            owner, wanted = file.stat().st_uid, os.geteuid() if spec.user_id is None else spec.user_id
            return "" if owner == wanted else f"what a container writes belongs to user {owner} here, not {wanted}"
        found = runtime.inspect(spec.name)
        if found is None or found.state is ObservedState.EXITED:
            said = runtime.logs(spec.name, 5).decode(errors="replace").strip()
            return f"a container cannot write to a folder of this server: {said or 'it ended without a word'}"
        time.sleep(POLL_SECONDS)
    return "a container runs, but what it writes does not appear here: the engine sees other folders than this server"


def _answers(queue: Path) -> bool:
    """Tell whether a socket made inside can be spoken to from here."""
    descriptor = os.open(queue, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(TRIAL_SECONDS)
            caller.connect(f"/proc/self/fd/{descriptor}/socket")  # a socket's path has room for 107 bytes only
            return caller.recv(len(ANSWER)) == ANSWER
    except OSError:
        return False
    finally:
        os.close(descriptor)
