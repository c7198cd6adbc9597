"""The files of this checkout, as the tidiness rules see them."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CODE_FOLDERS = ("ploinky", "agentcore", "replay", "migrations", "ops")
PACKAGES = ("ploinky", "agentcore", "replay")
SKIPPED_FOLDERS = frozenset({".git", ".venv", ".ploinky", "build", "dist", "htmlcov", "__pycache__"})


@functools.cache
def source_files() -> tuple[Path, ...]:
    """List what is or could be committed; without git (an unpacked archive) everything but the known by-products."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=False,
        capture_output=True,
        text=True,
    )
    if listing.returncode == 0:
        named = {ROOT / name for name in listing.stdout.split("\0") if name}
        return tuple(sorted(path for path in named if path.is_file()))
    everything = (path for path in ROOT.rglob("*") if path.is_file())
    return tuple(sorted(path for path in everything if not is_by_product(path.relative_to(ROOT))))


def is_by_product(path: Path) -> bool:
    return bool(SKIPPED_FOLDERS.intersection(path.parts)) or any(part.endswith("_cache") for part in path.parts)


@dataclass(frozen=True)
class PythonFile:
    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def line_count(self) -> int:
        return self.text.count("\n")

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.name)


@functools.cache
def python_files(*folders: str) -> tuple[PythonFile, ...]:
    inside = tuple(f"{ROOT / folder}/" for folder in folders)
    chosen = [path for path in source_files() if path.suffix == ".py" and str(path).startswith(inside)]
    return tuple(PythonFile(path, path.read_text(encoding="utf-8")) for path in chosen)


def code_files() -> tuple[PythonFile, ...]:
    return python_files(*CODE_FOLDERS)


def files_of_tests() -> tuple[PythonFile, ...]:
    return tuple(file for file in python_files("tests") if "fixtures" not in file.path.parts)


def functions(file: PythonFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def words(name: str) -> list[str]:
    """Split an identifier into lower-case words: `HTTPQueueInfo` and `http_queue_info` give http, queue, info."""
    spaced = [""]
    for index, character in enumerate(name):
        follows_small = index > 0 and not name[index - 1].isupper()
        starts_word = index + 1 < len(name) and name[index + 1].islower()
        if character == "_":
            spaced.append("")
        elif character.isupper() and (follows_small or starts_word):
            spaced.append(character)
        else:
            spaced[-1] += character
    return [word.lower() for word in spaced if word]
