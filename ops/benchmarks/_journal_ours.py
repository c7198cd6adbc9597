"""Ploinky's side of the journal benchmark: callers on an event loop that await durable appends."""

import asyncio
import gc
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.adapters.system_clock import SystemClock, TimeOrderedIds
from ploinky.domain.commands import SubmitTask
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.errors import PloinkyError
from ploinky.domain.indexes import DeploymentEntry, Indexes
from ploinky.domain.payload import inline_payload
from ploinky.journal.chain import record_hash, verify
from ploinky.journal.codec import Codec
from ploinky.journal.dispatcher import Answer, Context, Dispatcher
from ploinky.journal.writer import JournalWriter, OnDone
from ploinky.ports.journal_store import AppendBatch, Head, JournalStore, Record

CALLERS = 64
DEPLOYMENTS = 64
PARAMS = b'["a task with a parameter of usual size", 12345, true]'
METADATA = b'{"method":"POST","url":"/demo/echo","headers":{"accept":"*/*"},"timestamp":"2026-01-01T00:00:00Z"}'
EVENT_STATE = b"x" * 300

AppendOne = Callable[[int], Awaitable[None]]


class Run(NamedTuple):
    """What one contender did in one round."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


class RecordingWriter:
    """The journal thread, remembering what it was handed."""

    def __init__(self, writer: JournalWriter) -> None:
        """Pass everything on to `writer`."""
        self._writer = writer
        self.batches: list[AppendBatch] = []

    def write(self, batch: AppendBatch, on_done: OnDone) -> None:
        """Remember and pass on."""
        self.batches.append(batch)
        self._writer.write(batch, on_done)

    def close(self) -> None:
        """Pass on."""
        self._writer.close()


class GroupCommit:
    """Append one event per caller: what waited during a commit shares the next one."""

    def __init__(self, writer: RecordingWriter, head: Head, schedule: Callable[[Callable[[], None]], object]) -> None:
        """Go on from `head`."""
        self._writer = writer
        self._committed = self._head = head
        self._schedule = schedule
        self._pending: list[tuple[Record, asyncio.Future[None]]] = []
        self._in_flight: list[tuple[Record, asyncio.Future[None]]] = []
        self._is_scheduled = False

    def append(self, stream: str, data: bytes, done: asyncio.Future[None]) -> None:
        """Chain an event and hand it over with those of the same moment."""
        head = self._head
        position, at = head.position + 1, time.time_ns() // 1000
        envelope = (position, stream, 1, "task.submitted", 1, at, "key:bench", "bench", 0, head.epoch, data)
        record = Record(*envelope, record_hash(head.hash, *envelope))
        self._head = Head(record.position, record.hash, head.epoch)
        self._pending.append((record, done))
        if not self._in_flight and not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        self._in_flight, self._pending = self._pending, []
        self._writer.write(AppendBatch(self._committed, [record for record, _ in self._in_flight], ()), self._on_done)

    def _on_done(self, error: PloinkyError | None) -> None:
        if error is not None:
            raise SystemExit(f"an append failed: {error}")
        last = self._in_flight[-1][0]
        self._committed = Head(last.position, last.hash, last.epoch)
        for _, done in self._in_flight:
            done.set_result(None)
        self._in_flight = []
        if self._pending:
            self._flush()


Connect = Callable[[JournalStore, RecordingWriter], AppendOne]


def accepting_indexes() -> Indexes:
    """Return deployments that accept tasks and have no free slot: each submit is one event."""
    indexes = Indexes()
    for number in range(DEPLOYMENTS):
        entry = indexes.deployments[f"deployment{number}"] = DeploymentEntry()
        entry.active_generation = 1
    return indexes


async def run_callers(folder: str, seconds: float, connect: Connect) -> tuple[Run, list[AppendBatch]]:
    """Let the callers append for some time; return the rate and the batches that came about."""
    store = open_journal(os.path.join(folder, f"{connect.__name__}.db"), verify)
    writer = RecordingWriter(JournalWriter(store, asyncio.get_running_loop().call_soon_threadsafe))
    append_one = connect(store, writer)
    # All batches are kept for the raw script: collecting that garbage, which is none, is not the journal's work.
    gc.disable()
    ends_at = time.monotonic() + seconds

    async def call(number: int) -> int:
        count = 0
        while time.monotonic() < ends_at:
            await append_one(number)
            count += 1
        return count

    begun_at = time.monotonic()
    counts = await asyncio.gather(*(call(number) for number in range(CALLERS)))
    run = Run(sum(counts), time.monotonic() - begun_at)
    gc.enable()
    writer.close()
    if store.head().position != run.events:
        raise SystemExit("the journal does not hold what was acknowledged")
    store.close()
    return run, writer.batches


def appending(store: JournalStore, writer: RecordingWriter) -> AppendOne:
    """Return the call that appends one event and awaits its commit."""
    loop = asyncio.get_running_loop()
    commits = GroupCommit(writer, store.take_epoch(), loop.call_soon)
    numbers = itertools.count()

    async def append_one(_: int) -> None:
        done: asyncio.Future[None] = loop.create_future()
        commits.append(f"task/{next(numbers):020d}", EVENT_STATE, done)
        await done

    return append_one


def submitting(store: JournalStore, writer: RecordingWriter) -> AppendOne:
    """Return the call that submits one task and awaits the answer."""
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(
        store=store,
        writer=writer,
        codec=Codec(),
        deciders=DECIDERS,
        clock=SystemClock(),
        head=store.take_epoch(),
        last_at=0,
        indexes=accepting_indexes,
        schedule=loop.call_soon,
    )
    ids, context = TimeOrderedIds(), Context("key:bench", "bench")

    async def append_one(number: int) -> None:
        waiting: asyncio.Future[Answer | PloinkyError] = loop.create_future()
        command = SubmitTask(
            subject_id=ids.mint(),
            deployment_id=f"deployment{number % DEPLOYMENTS}",
            command="echo",
            params=inline_payload(PARAMS, ids.salt()),
            metadata=inline_payload(METADATA, ids.salt()),
        )
        dispatcher.submit(command, context, waiting.set_result)
        answer = await waiting
        if isinstance(answer, PloinkyError):
            raise answer

    return append_one
