"""What an agent prints is written into files that stay small, and nothing that fits into them is lost."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ploinky.adapters import process_runtime_writer
from ploinky.adapters.process_runtime_logs import newest_lines, open_next, read_newest
from ploinky.adapters.process_runtime_writer import LogWriter


def parts(folder: Path) -> list[bytes]:
    """The files of the log, the oldest first."""
    names = sorted(folder.glob("log*"), key=lambda path: path.name, reverse=True)
    return [path.read_bytes() for path in names]


def test_begins_a_new_file_at_a_line(tmp_path: Path) -> None:
    """A full file ends with a whole line, and the next one goes on with the next."""
    writer = LogWriter(str(tmp_path / "log"), 12, 3)
    writer.write(b"one\ntwo\nthree\nfour\n")
    writer.write(b"five\n")
    writer.close()
    assert parts(tmp_path) == [b"one\ntwo\n", b"three\nfour\n", b"five\n"]


def test_keeps_only_so_many_files(tmp_path: Path) -> None:
    """The oldest file goes when there is one too many; in one file alone only the newest lines stay."""
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        writer = LogWriter(str(folder / "log"), 4, count)
        for number in range(9):
            writer.write(b"%d\n" % number)
        writer.close()
        assert parts(folder) == [b"6\n7\n", b"8\n"][-count:]


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_a_line_longer_than_a_file_is_cut(tmp_path: Path, size: int) -> None:
    """However it arrives, each file stays within its bound and nothing of it is lost but with its file."""
    content = b"ab\n" + b"x" * 25 + b"\ny\n"
    writer = LogWriter(str(tmp_path / "log"), 10, 9)
    for start in range(0, len(content), size):
        writer.write(content[start : start + size])
    writer.close()
    assert b"".join(parts(tmp_path)) == content
    assert max(map(len, parts(tmp_path))) <= 10


def test_goes_on_in_the_file_there_is(tmp_path: Path) -> None:
    """What was written before stays, also when it is more than a file may hold now."""
    (tmp_path / "log").write_bytes(b"before\n")
    writer = LogWriter(str(tmp_path / "log"), 4, 2)
    writer.write(b"now\n")
    writer.close()
    assert parts(tmp_path) == [b"before\n", b"now\n"]


def test_a_full_disk_loses_lines_but_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is counted, and the count is written once there is room again."""
    writer = LogWriter(str(tmp_path / "log"), 1_000, 2)
    write = os.write

    def full(_descriptor: int, _content: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "write", full)
    writer.write(b"lost\n")
    monkeypatch.setattr(os, "write", write)
    writer.write(b"kept\n")
    writer.close()
    assert parts(tmp_path) == [b"\n-- 5 bytes of output could not be written --\nkept\n"]


def test_a_folder_that_goes_stops_nobody(tmp_path: Path) -> None:
    """When the files are removed under it the writer goes on, within its bound."""
    folder = tmp_path / "gone"
    folder.mkdir()
    writer = LogWriter(str(folder / "log"), 4, 2)
    (folder / "log").unlink()
    folder.rmdir()
    for _ in range(10):
        writer.write(b"abc\n")
    assert os.fstat(writer._file).st_size <= 4
    writer.close()


@pytest.mark.parametrize(("count", "lines"), [(1, b"5\n"), (3, b"3\n4\n5\n"), (99, b"0\n1\n2\n3\n4\n5\n"), (0, b"")])
def test_is_read_over_its_files(tmp_path: Path, count: int, lines: bytes) -> None:
    """The newest lines are found in however many files they are."""
    writer = LogWriter(str(tmp_path / "log"), 4, 9)
    for number in range(6):
        writer.write(b"%d\n" % number)
    writer.close()
    assert newest_lines(tmp_path / "log", count) == lines


def test_the_next_file_is_found_from_any(tmp_path: Path) -> None:
    """Whoever reads a file finds the one after it, however often files were begun meanwhile."""
    writer = LogWriter(str(tmp_path / "log"), 2, 4)
    writer.write(b"0\n")
    _, file = read_newest(tmp_path / "log", 0)
    assert file is not None
    assert open_next(tmp_path / "log", file) is None
    for number in (1, 2):
        writer.write(b"%d\n" % number)
    found = []
    while (following := open_next(tmp_path / "log", file)) is not None:
        file.close()
        file = following
        found.append(file.read())
    assert found == [b"1\n", b"2\n"]
    for number in range(3, 9):
        writer.write(b"%d\n" % number)
    late = open_next(tmp_path / "log", file)
    assert late is not None
    assert late.read() == b"5\n"  # those before are gone
    for opened in (late, file):
        opened.close()
    writer.close()


CHATTY = """
import os, signal, sys
sys.path.append(sys.argv[1])
import process_runtime_writer as writer
finish = writer.start(sys.argv[2], 20_000, 500)
if os.fork() == 0:
    for number in range(100_000):
        os.write(2, b"line %d\\n" % number)
    os._exit(0)
os.wait()
finish()
"""


def test_a_chatty_agent_loses_no_line(tmp_path: Path) -> None:
    """A hundred thousand lines as fast as they come are all there, in order, in files within their bound."""
    folder = str(Path(process_runtime_writer.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CHATTY, folder, str(tmp_path / "log")], check=False, timeout=60
    )
    assert done.returncode == 0
    files = sorted(tmp_path.glob("log*"), key=lambda path: int(path.suffix[1:] or 0), reverse=True)
    assert max(path.stat().st_size for path in files) <= 20_000
    content = b"".join(path.read_bytes() for path in files)
    assert content == b"".join(b"line %d\n" % number for number in range(100_000))
