"""A courier over folders, a queue in it, something outside that must stay as it is, and other users."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.file_courier import FileCourier
from tests.adapters.courier.folder_agent import INSTANCE_ID, FolderAgent

SENTINEL_TEXT = "nobody may read, write or remove this"


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def place() -> Iterator[Path]:
    """An own folder that other users can pass: pytest's is closed to them."""
    directory = Path(tempfile.mkdtemp(prefix="courier-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def courier(runner: asyncio.Runner, place: Path, reports: list[str]) -> Iterator[FileCourier]:
    courier = FileCourier(str(place / "queues"), runner.get_loop(), reports.append)
    yield courier
    courier.close()


@pytest.fixture
def agent(courier: FileCourier) -> FolderAgent:
    agent = FolderAgent(courier.provision(INSTANCE_ID, None))
    courier.attach(INSTANCE_ID)
    return agent


@pytest.fixture
def outside(place: Path) -> Iterator[Path]:
    """A folder with a file and a folder in it, all of it checked afterwards."""
    directory = place / "outside"
    directory.mkdir()
    (directory / "owner").write_text(SENTINEL_TEXT)
    (directory / "inner").mkdir()
    (directory / "inner" / "kept").write_text(SENTINEL_TEXT)
    os.chmod(directory, 0o755)
    read_at = os.stat(directory / "owner").st_atime_ns
    yield directory
    assert sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*")) == [
        "inner",
        "inner/kept",
        "owner",
    ]
    assert os.stat(directory / "owner").st_atime_ns == read_at
    assert (directory / "owner").read_text() == (directory / "inner" / "kept").read_text() == SENTINEL_TEXT
