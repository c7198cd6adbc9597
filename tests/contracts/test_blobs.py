"""What every `BlobStore` has to do, held against memory and against files."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ploinky.adapters.file_blobs import FileBlobStore
from ploinky.adapters.memory.blobs import MemoryBlobStore
from ploinky.domain.errors import BlobNotFound
from ploinky.ports.payloads import BlobStore


class Bench(NamedTuple):
    """A store and a way to make everything in it older."""

    store: BlobStore
    let_pass: Callable[[float], None]


class BlobStoreContract:
    """The suite. A subclass gives `bench`."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        raise AssertionError("given by the subclass")

    @pytest.mark.parametrize("size_bytes", [0, 1, 3 * 1024 * 1024])
    def test_returns_what_was_put(self, bench: Bench, size_bytes: int) -> None:
        """The content comes back byte for byte, empty or large."""
        content = os.urandom(size_bytes)
        assert bench.store.get(bench.store.put(content)) == content

    def test_mints_a_name_each_time(self, bench: Bench) -> None:
        """Equal contents get two names of 32 hex digits."""
        names = {bench.store.put(b"same") for _ in range(10)}
        assert len(names) == 10
        assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)

    @pytest.mark.parametrize(
        "name", ["", "0" * 32, "0" * 31, "../journal.db", "A" * 32, "0" * 32 + "\n", "00/" + "0" * 29]
    )
    def test_knows_no_other_names(self, bench: Bench, name: str) -> None:
        """A name that was never minted, or cannot be one, is not found."""
        bench.store.put(b"content")
        with pytest.raises(BlobNotFound):
            bench.store.get(name)

    def test_collects_what_nothing_refers_to(self, bench: Bench) -> None:
        """Old blobs without a reference go, referenced ones stay, and doing it again removes none."""
        names = [bench.store.put(b"%d" % number) for number in range(6)]
        kept = set(names[:2])
        bench.let_pass(7200)
        assert bench.store.collect(kept.__contains__) == 4
        assert bench.store.collect(kept.__contains__) == 0
        assert [bench.store.get(name) for name in names[:2]] == [b"0", b"1"]
        for name in names[2:]:
            with pytest.raises(BlobNotFound):
                bench.store.get(name)

    def test_keeps_what_is_young(self, bench: Bench) -> None:
        """A blob whose event is not written yet has its time: an hour, or what is asked for."""
        old = bench.store.put(b"old")
        bench.let_pass(600)
        young = bench.store.put(b"young")
        assert bench.store.collect(lambda _: False) == 0
        assert bench.store.collect(lambda _: False, minimum_age_seconds=300) == 1
        assert bench.store.get(young) == b"young"
        with pytest.raises(BlobNotFound):
            bench.store.get(old)

    def test_does_not_ask_about_young_ones(self, bench: Bench) -> None:
        """Whether something refers to a blob is asked for old ones only."""
        bench.store.put(b"young")
        asked: list[str] = []

        def is_referenced(name: str) -> bool:
            asked.append(name)
            return False

        bench.store.collect(is_referenced)
        assert not asked

    def test_collects_nothing_from_an_empty_store(self, bench: Bench) -> None:
        """Without blobs there is nothing to remove."""
        assert bench.store.collect(lambda _: False, minimum_age_seconds=0) == 0


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        passed = [0.0]

        def let_pass(seconds: float) -> None:
            passed[0] += seconds

        return Bench(MemoryBlobStore(monotonic=lambda: passed[0]), let_pass)


class TestFileBlobStore(BlobStoreContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        folder = tmp_path / "blobs"

        def let_pass(seconds: float) -> None:
            then = time.time() - seconds
            for path in folder.glob("*/*"):
                os.utime(path, (then, then))

        return Bench(FileBlobStore(str(folder)), let_pass)
