"""Folders for agents that run as processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.runtime_harness import reachable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that an agent with a user of its own can pass through."""
    with reachable_folder() as path:
        yield path
