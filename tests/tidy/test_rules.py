"""Every exception has its reason, every test its sentence, every requirement its hash."""

import ast
import re

import pytest

from tests.tidy.tree import ROOT, PythonFile, code_files, files_of_tests, functions

SHORTEST_REASON_CHARACTERS = 5
LONGEST_TEST_PAUSE_SECONDS = 0.05
LOCK_FILES = ("requirements.txt", "requirements-dev.txt", "requirements-bench.txt")


def test_every_disabled_lint_rule_has_a_reason() -> None:
    """Each rule switched off in pyproject.toml says why on its own line."""
    settings = (ROOT / "pyproject.toml").read_text()
    rules = re.findall(r'^ +"([A-Z]+\d*)",(.*)$', settings, flags=re.MULTILINE)
    assert len(rules) > 1
    assert not [rule for rule, rest in rules if len(rest.partition("#")[2].strip()) < SHORTEST_REASON_CHARACTERS]


def test_every_inline_exception_names_its_rule() -> None:
    """A `noqa` or `type: ignore` says which rule it means."""
    vague = re.compile(r"#\s*(noqa(?!: [A-Z])|type: ignore(?!\[)|pragma: no cover|ruff: noqa)")
    assert not [
        f"{file.name}:{number}"
        for file in (*code_files(), *files_of_tests())
        for number, line in enumerate(file.text.splitlines(), start=1)
        if vague.search(line) and "re.compile" not in line
    ]


def test_every_test_says_what_is_expected() -> None:
    """Each test function has a docstring."""
    assert not [
        f"{file.name}:{function.lineno} {function.name}"
        for file in files_of_tests()
        for function in functions(file)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def pauses(file: PythonFile) -> list[str]:
    """Find calls that let time pass: any `time.sleep`, and `asyncio.sleep` for longer than a poll."""
    found = []
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        length = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else 0
        is_long = isinstance(length, int | float) and length > LONGEST_TEST_PAUSE_SECONDS
        if called in {"time.sleep", "sleep"} or (called == "asyncio.sleep" and is_long):
            found.append(f"{file.name}:{node.lineno} {ast.unparse(node)}")
    return found


def test_no_test_sleeps() -> None:
    """Tests wait on conditions with a deadline; only tests/waiting.py lets time pass between two looks."""
    assert not [pause for file in files_of_tests() if file.name != "tests/waiting.py" for pause in pauses(file)]


def test_no_test_replaces_parts_by_mocks() -> None:
    """Tests use the shipped memory adapters, which are held to the contract of the real ones."""
    for file in files_of_tests():
        for node in ast.walk(file.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"unittest.mock", "mock"}.intersection(names + module), file.name


def requirements(name: str) -> dict[str, str]:
    """Read a lock file: pinned requirement -> its hashes."""
    entries = (ROOT / "ops" / name).read_text().replace("\\\n", " ").splitlines()
    pinned = [entry.partition(" --hash=") for entry in entries if entry and not entry.startswith("#")]
    return {requirement.strip(): hashes for requirement, _, hashes in pinned}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    """A lock file names exact versions with hashes, and no place to fetch them from."""
    pinned = requirements(name)
    assert len(pinned) > 1
    assert not [requirement for requirement, hashes in pinned.items() if "==" not in requirement or not hashes]
    assert "://" not in (ROOT / "ops" / name).read_text()


def test_lock_files_agree() -> None:
    """What is tested is what runs: each wider lock file contains the narrower one."""
    runtime, dev, bench = (requirements(name).keys() for name in LOCK_FILES)
    assert not runtime - dev
    assert not dev - bench
