"""Names say what a thing is, and no file speaks of the machine it was written on."""

import ast
import re

import pytest

from tests.tidy.tree import PACKAGES, ROOT, PythonFile, functions, python_files, source_files, words

# "Data" is refused where it says nothing (`TaskData`) and allowed where it is the thing (`DataDirectory`).
REFUSED_WORDS = frozenset({"manager", "managers", "helper", "helpers", "util", "utils", "base", "info"})
REFUSED_LAST_WORDS = frozenset({"data"})
SNIFFED_BYTES = 8192

# Written in two halves, so that this file may be searched like any other.
FOREIGN_PLACES = re.compile(
    "|".join(
        left + right
        for left, right in (
            (r"py", r"pi\.org"),
            (r"python", r"hosted\.org"),
            (r"deb\.", r"debian\.org"),
            (r"registry\.", r"npmjs"),
            (r"registry-1\.", r"docker"),
            (r"(?<![\w.])/wo", r"rk/"),
            (r"/opt/", r"pypi"),
            (r"/tmp", r"/h/"),
            (r"/root/", r"\.pyenv"),
            (r"\.\./", r"shared"),
        )
    )
)


def refused_words_of(name: str) -> frozenset[str]:
    parts = words(name)
    return REFUSED_WORDS.intersection(parts) | REFUSED_LAST_WORDS.intersection(parts[-1:])


def named_things(file: PythonFile) -> list[str]:
    classes = [node.name for node in ast.walk(file.tree) if isinstance(node, ast.ClassDef)]
    return [file.path.stem, *classes]


def test_no_module_or_class_has_an_empty_name() -> None:
    """No module or class is named by a word that fits everything."""
    refused = [
        f"{file.name}: {name}"
        for file in python_files(*PACKAGES)
        for name in named_things(file)
        if refused_words_of(name)
    ]
    assert not refused


def test_no_function_merely_processes() -> None:
    """A function says what it does; `process_x` could be anything."""
    files = python_files(*PACKAGES)
    assert not [
        f"{file.name}: {function.name}"
        for file in files
        for function in functions(file)
        if function.name.startswith("process_")
    ]


@pytest.mark.parametrize("name", ["TaskManager", "task_utils", "QueueInfo", "TaskData", "BaseStore", "HTTPInfo"])
def test_refuses(name: str) -> None:
    """The refused words are found in both spellings."""
    assert refused_words_of(name)


@pytest.mark.parametrize("name", ["DataDirectory", "Database", "Information", "baseline", "HTTPServer", "Dataset"])
def test_accepts(name: str) -> None:
    """Words that merely contain a refused one are fine."""
    assert not refused_words_of(name)


def test_no_file_names_a_foreign_place() -> None:
    """No registry host and no path of one machine stands in any file."""
    found = []
    for path in source_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if match := FOREIGN_PLACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} {match.group()}")
    assert not found


def test_no_binary_is_committed() -> None:
    """Everything in the repository can be read and reviewed as text."""
    assert not [str(path.relative_to(ROOT)) for path in source_files() if b"\0" in path.read_bytes()[:SNIFFED_BYTES]]
