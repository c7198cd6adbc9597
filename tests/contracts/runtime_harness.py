"""One way to ask every runtime for the same behaviour: what an instance does, and how to wait for it."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.adapters.process_runtime import ProcessRuntime
from ploinky.ports.runtime import (
    LABEL_JOURNAL,
    LABEL_SPEC_DIGEST,
    Address,
    InstanceSpec,
    Observation,
    ObservedState,
    Runtime,
)
from tests.waiting import wait_until

DEADLINE_SECONDS = 20.0
NOBODY = 65534
ENGINES = [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in ("docker", "podman")]
"""Parameters of a fixture that runs on every container engine."""
LOOPBACK = "127.0.0.1"


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds, or fail saying what was awaited."""
    wait_until(condition, timeout_seconds=DEADLINE_SECONDS, what=what)


def process_runtime(folder: Path, *, uses_sandbox: bool = False) -> ProcessRuntime:
    """Make the process runtime with all it keeps in one folder."""
    return ProcessRuntime(folder / "state", temporary_directory=folder / "temporary", uses_sandbox=uses_sandbox)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Give a folder that agents who are users of their own can pass through, which pytest's are not."""
    with TemporaryDirectory(prefix="ploinky-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


class Program(Protocol):
    """What an instance does."""

    source: str
    """Python, where it is run."""

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        """Let the memory runtime do the same."""


class Exits:
    """Prints a line and ends with a code."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.source = f"import sys; print('bye', flush=True); sys.exit({code})"

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        runtime.write_output(name, b"bye\n")
        runtime.exit(name, self.code)


class Sleeps:
    """Prints a line, goes on until it is asked to end, and ends at once then."""

    source = "import signal; signal.signal(15, lambda *_: exit(0)); print('up', flush=True); signal.pause()"

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        runtime.write_output(name, b"up\n")


class IgnoresTerm:
    """Prints a line and does not end when asked to."""

    source = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        runtime.write_output(name, b"up\n")


class Serves:
    """Listens where it is told to and greets whoever connects."""

    source = (
        "import os, socket\n"
        "listener = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
        "print('up', flush=True)\n"
        "while True:\n"
        "    with listener.accept()[0] as connection: connection.sendall(os.environ['GREETING'].encode())\n"
    )

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        listener = socket.create_server((LOOPBACK, 0))
        runtime.addresses[name] = Address(*listener.getsockname())
        runtime.write_output(name, b"up\n")

        def greet() -> None:
            with listener, listener.accept()[0] as connection:
                connection.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()


class Says:
    """Runs what it is given, for looking around from inside."""

    def __init__(self, source: str) -> None:
        self.source = source

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        return


class Bench:
    """A runtime, folders for its instances, and names that no other test uses."""

    def __init__(self, runtime: Runtime, folder: Path, journal_id: str, image: str = "") -> None:
        self.runtime = runtime
        self.folder = folder
        self.journal_id = journal_id
        self.image = image
        self.user_id = NOBODY if os.getuid() == 0 else None
        self._programs: dict[str, Program] = {}
        for name in ("code", "agentcore", "queue", "queue/tasks", "queue/cancel", "code/.ploinky/queue"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("code", "queue"):
            if self.user_id is not None:
                os.chown(folder / name, self.user_id, self.user_id)

    def name(self, word: str) -> str:
        return f"ploinky-test-{self.journal_id}-{word}"

    def spec(self, word: str, program: Program, **changes: object) -> InstanceSpec:
        name = self.name(word)
        self._programs[name] = program
        fields = {
            "name": name,
            "labels": {
                LABEL_JOURNAL: self.journal_id,
                LABEL_SPEC_DIGEST: changes.pop("digest", "digest-1"),
                "ploinky.instance": word,
            },
            "image": self.image,
            "command": ("python3", "-c", program.source),
            "environment": {"GREETING": "hello"},
            "code_directory": str(self.folder / "code"),
            "agentcore_directory": str(self.folder / "agentcore"),
            "queue_directory": str(self.folder / "queue"),
            "log_path": str(self.folder / f"{word}.log"),
            "user_id": self.user_id,
            "memory_bytes": 128 * 1024 * 1024,
            "pids": 32,
            "has_network": False,
        }
        return InstanceSpec(**{**fields, **changes})  # type: ignore[arg-type]  # a dictionary of mixed fields

    def create(self, word: str, program: Program, **changes: object) -> str:
        """Create an instance and return its name."""
        spec = self.spec(word, program, **changes)
        self.runtime.create(spec)
        return spec.name

    def run(self, word: str, program: Program, **changes: object) -> str:
        """Create and start an instance; return its name once it has shown that it runs."""
        spec = self.spec(word, program, **changes)
        self.runtime.create(spec)
        self.start(spec.name)
        return spec.name

    def start(self, name: str) -> None:
        self.runtime.start(name)
        if isinstance(self.runtime, MemoryRuntime):
            self._programs[name].pretend(self.runtime, name)

    def run_until_it_speaks(self, word: str, program: Program, **changes: object) -> str:
        name = self.run(word, program, **changes)
        eventually(lambda: bool(self.runtime.logs(name, 10)), f"{name} prints something")
        return name

    def output_of(self, word: str, source: str, **changes: object) -> str:
        """Run Python inside an instance to its end and return what it printed."""
        name = self.run(word, Says(source), **changes)
        ended = self.await_exit(name)
        output = self.runtime.logs(name, 1000).decode()
        assert ended.exit_code == 0, output
        return output

    def look(self, name: str) -> Observation:
        found = self.runtime.inspect(name)
        assert found is not None, f"{name} does not exist"
        return found

    def state(self, name: str) -> ObservedState:
        return self.look(name).state

    def await_exit(self, name: str) -> Observation:
        eventually(lambda: self.state(name) is ObservedState.EXITED, f"{name} ends")
        return self.look(name)

    def remove_all(self) -> None:
        for found in self.runtime.list(self.journal_id):
            self.runtime.remove(found.name)
