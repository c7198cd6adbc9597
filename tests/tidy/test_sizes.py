"""Files and functions stay small enough to be read at once, and tests keep up with the code."""

import statistics

from tests.tidy.tree import PythonFile, code_files, files_of_tests, functions

MEDIAN_FILE_LINES = 120
LARGE_FILE_LINES = 280
LARGE_FILE_SHARE = 0.10
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 70
LEAST_TEST_LINES_PER_CODE_LINE = 1.0
WORST_SHOWN = 10


def largest(files: tuple[PythonFile, ...]) -> str:
    worst = sorted(files, key=lambda file: file.line_count, reverse=True)[:WORST_SHOWN]
    return "; ".join(f"{file.name} {file.line_count}" for file in worst)


def test_no_file_is_too_long() -> None:
    """No code file exceeds the hard limit: a longer one has two subjects."""
    files = code_files()
    print(largest(files))
    too_long = [f"{file.name} {file.line_count}" for file in files if file.line_count > LONGEST_FILE_LINES]
    assert not too_long


def test_most_files_are_small() -> None:
    """The median file fits on two screens, and at most a tenth are large."""
    files = code_files()
    sizes = [file.line_count for file in files]
    large = [size for size in sizes if size > LARGE_FILE_LINES]
    assert statistics.median(sizes) <= MEDIAN_FILE_LINES, largest(files)
    assert len(large) <= LARGE_FILE_SHARE * len(sizes), largest(files)


def test_no_function_is_too_long() -> None:
    """No function, in code or tests, is longer than what can be taken in at once."""
    too_long = []
    for file in (*code_files(), *files_of_tests()):
        for function in functions(file):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > LONGEST_FUNCTION_LINES:
                too_long.append(f"{file.name}:{function.lineno} {function.name} {lines}")
    assert not too_long


def test_tests_keep_up_with_the_code() -> None:
    """There are at least as many lines of tests per line of code as was agreed."""
    code_lines = sum(file.line_count for file in code_files())
    test_lines = sum(file.line_count for file in files_of_tests())
    print(f"{test_lines} lines of tests for {code_lines} lines of code: {test_lines / code_lines:.2f}")
    assert test_lines >= LEAST_TEST_LINES_PER_CODE_LINE * code_lines
