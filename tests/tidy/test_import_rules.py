"""Imports point one way: no cycle of any kind, and the contracts of pyproject.toml do notice what they forbid."""

import graphlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.tidy.tree import PACKAGES, ROOT


def test_has_no_import_cycle() -> None:
    """No module reaches itself over its imports, those inside functions and those for types included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


PLANTED = {
    "a lower layer imports a higher one": ("ploinky/domain/planted.py", "import ploinky.journal"),
    "the same inside a function": ("ploinky/domain/planted.py", "def f():\n    import ploinky.journal"),
    "one front imports the other": ("ploinky/api/planted.py", "import ploinky.gateway.front"),
    "a package outside the tree": ("ploinky/misc/__init__.py", ""),
    "an adapter named outside the wiring": ("ploinky/usecases/planted.py", "import ploinky.adapters.memory.clock"),
    "the machinery imports an adapter": ("ploinky/journal/planted.py", "import ploinky.adapters.memory"),
    "an adapter imports the machinery": ("ploinky/adapters/planted.py", "import ploinky.journal"),
    "the client imports something of ours": ("ploinky/client/planted.py", "import ploinky.domain"),
    "the client is used below the command line": ("ploinky/control/planted.py", "import ploinky.client.http"),
    "a database outside the adapters": ("ploinky/journal/planted.py", "import sqlalchemy"),
    "a container engine outside the adapters": ("ploinky/control/planted.py", "import docker"),
    "HTTP below the fronts": ("ploinky/usecases/planted.py", "import litestar"),
    "agentcore imports ploinky": ("agentcore/planted.py", "import ploinky.domain"),
    "ploinky imports replay": ("ploinky/server/planted.py", "import replay"),
}
ALLOWED = {
    "ploinky/journal/allowed.py": "import ploinky.ports\nimport ploinky.domain",
    "ploinky/adapters/sqlite_journal.py": "import sqlalchemy\nimport ploinky.ports\nimport ploinky.domain",
    "ploinky/adapters/memory/allowed.py": "import ploinky.adapters.memory.clock",
    "ploinky/server/wiring.py": "import litestar\nimport ploinky.adapters.sqlite_journal",
    "ploinky/cli/main.py": "import ploinky.client.http\n\ndef start():\n    import ploinky.server.wiring",
    "replay/allowed.py": "import ploinky.views",
}
FRONTS = ("api", "cli", "gateway", "server")
LAYERS = ("adapters", "client", "control", "domain", "journal", "policies", "ports", "usecases", "views", *FRONTS)


def plant(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{text}\n")


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    for package in (*PACKAGES, *(f"ploinky/{layer}" for layer in LAYERS), "ploinky/adapters/memory"):
        plant(tmp_path, f"{package}/__init__.py", "")
    plant(tmp_path, "ploinky/adapters/memory/clock.py", "")
    plant(tmp_path, "ploinky/client/http.py", "")
    plant(tmp_path, "ploinky/gateway/front.py", "")
    for path, text in ALLOWED.items():
        plant(tmp_path, path, text)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_allows_what_the_tree_is_made_of(small_tree: Path) -> None:
    """The wiring names adapters, adapters import their library, the command line uses client and server."""
    run = lint_imports(small_tree)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("why", PLANTED)
def test_notices(small_tree: Path, why: str) -> None:
    """An import against the rules breaks a contract, one case per rule."""
    plant(small_tree, *PLANTED[why])
    run = lint_imports(small_tree)
    assert run.returncode != 0, run.stdout
    assert "planted" in run.stdout or "ploinky.misc" in run.stdout, run.stdout
