"""What every runtime promises to those who install dependencies, and to the agents that find them."""

import os
from pathlib import Path

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.domain.dependencies import InstallPlace
from tests.contracts.runtime_harness import Bench, Exits, Says, Sleeps

SAY = "import greeting; print(greeting.WORDS)"
FILL = """
import os, pathlib
folder = pathlib.Path(os.environ["PLOINKY_DEPENDENCIES_DIR"])
(folder / "python").mkdir()
(folder / "python" / "greeting.py").write_text("WORDS = 'hello from a dependency'")
(folder / "bin").mkdir()
(folder / "bin" / "greet").write_text("#!/bin/sh\\necho hello from a program")
(folder / "bin" / "greet").chmod(0o755)
print("filled", os.environ["PIP_TARGET"] == str(folder / "python"), pathlib.Path(os.environ["TMPDIR"]).is_dir())
"""


def dependencies(bench: Bench) -> Path:
    """Make a folder that the agents' user may write."""
    folder = bench.folder / "dependencies"
    (folder / ".tmp").mkdir(parents=True)
    if bench.user_id is not None:
        for path in (folder, folder / ".tmp"):
            os.chown(path, bench.user_id, bench.user_id)
    return folder


def fill(bench: Bench, folder: Path, word: str = "fill", source: str = FILL, **changes: object) -> str:
    """Run Python as an installer would run; return what it printed."""
    changes.setdefault("install_place", InstallPlace.AGENT)
    name = bench.run(word, Says(source), dependencies_directory=str(folder), queue_directory="", **changes)
    ended = bench.await_exit(name)
    assert ended.exit_code == 0, bench.runtime.logs(name, 100)
    return bench.runtime.logs(name, 100).decode()


def test_an_installer_ends_like_any_instance(bench: Bench) -> None:
    """It is created, started, seen to end with its code, and removed."""
    folder = dependencies(bench)
    if isinstance(bench.runtime, MemoryRuntime):
        bench.runtime.install_exit_code = 3
    spec = bench.spec(
        "ends", Exits(3), dependencies_directory=str(folder), queue_directory="", install_place=InstallPlace.AGENT
    )
    bench.runtime.create(spec)
    bench.start(spec.name)
    assert bench.await_exit(spec.name).exit_code == 3
    bench.runtime.remove(spec.name)
    assert bench.runtime.inspect(spec.name) is None


def test_an_agent_finds_what_was_installed(real_bench: Bench) -> None:
    """Modules and programs that an installer left are found by the agent, on its ordinary search paths."""
    folder = dependencies(real_bench)
    assert fill(real_bench, folder) == "filled True True\n"
    found = {"dependencies_directory": str(folder)}
    assert real_bench.output_of("module", SAY, **found) == "hello from a dependency\n"
    program = "import subprocess; subprocess.run(['greet'], check=True)"
    assert real_bench.output_of("program", program, **found) == "hello from a program\n"


def test_an_installer_runs_where_it_is_told(real_bench: Bench) -> None:
    """Among the agent's files, or in the folder that it fills."""
    folder = dependencies(real_bench)
    (real_bench.folder / "code" / "requirements.txt").touch()
    (folder / "package.json").touch()
    show = "import os; print(sorted(os.listdir()))"
    assert "requirements.txt" in fill(real_bench, folder, "here", show)
    assert "package.json" in fill(real_bench, folder, "there", show, install_place=InstallPlace.DEPENDENCIES)


def test_python_has_an_installer(real_bench: Bench) -> None:
    """Where Python runs, `python3 -m pip` does."""
    source = "import runpy, sys; sys.argv = ['pip', '--version']; runpy.run_module('pip', run_name='__main__')"
    assert fill(real_bench, dependencies(real_bench), "pip", source).startswith("pip ")


def test_only_its_folder_can_be_written_in_a_container(container_bench: Bench) -> None:
    """An installer in a container cannot change the agent's files, and the agent cannot change what was installed."""
    folder = dependencies(container_bench)
    attempt = """
import os, pathlib
for place in ("/agent", "/", os.environ.get("PLOINKY_DEPENDENCIES_DIR", "")):
    try:
        pathlib.Path(place, "written").touch()
        print(place, "written")
    except OSError as error:
        print(place, error.strerror)
"""
    refused = "Read-only file system"
    seen = fill(container_bench, folder, "installer", attempt)
    assert seen == f"/agent {refused}\n/ {refused}\n/agent-deps written\n"
    seen = container_bench.output_of("agent", attempt, dependencies_directory=str(folder))
    assert seen == f"/agent written\n/ {refused}\n/agent-deps {refused}\n"


def test_without_dependencies_nothing_is_mounted(container_bench: Bench) -> None:
    """An agent that needs nothing finds no folder and no variable of that kind."""
    source = "import os; print(os.path.exists('/agent-deps'), 'PLOINKY_DEPENDENCIES_DIR' in os.environ)"
    assert container_bench.output_of("plain", source) == "False False\n"


def test_a_running_installer_can_be_stopped(real_bench: Bench) -> None:
    """Whoever gives up an installation can end it."""
    folder = dependencies(real_bench)
    name = real_bench.run_until_it_speaks(
        "stops", Sleeps(), dependencies_directory=str(folder), queue_directory="", install_place=InstallPlace.AGENT
    )
    real_bench.runtime.remove(name)
    assert real_bench.runtime.inspect(name) is None
