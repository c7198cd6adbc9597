"""The only way to append: decide, encode, hand over, and answer after COMMIT.

A plain synchronous object, called on one thread (the event loop). While one batch commits, the next is decided on top
of it. Nobody hears of anything before it is durable: refusals and repetitions wait too, since they may rest on a
decision that is not committed yet.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ploinky.domain.commands import Command
from ploinky.domain.decider import Attached, Decider, Repeated
from ploinky.domain.errors import (
    Broken,
    Fenced,
    Invalid,
    JournalBroken,
    JournalFull,
    OutcomeUnknown,
    Overloaded,
    PloinkyError,
    ShuttingDown,
    VersionConflict,
)
from ploinky.domain.events import Event
from ploinky.domain.ids import stream_name
from ploinky.domain.indexes import Indexes
from ploinky.journal.chain import record_hash
from ploinky.journal.codec import NO_PAYLOADS, Codec, Recorded, from_microseconds, to_microseconds
from ploinky.journal.writer import Writer
from ploinky.ports.clock import Clock
from ploinky.ports.journal_store import AppendBatch, Head, JournalStore, PayloadRow, Record

CACHED_AGGREGATES = 20_000
WAITING_LIMIT_COMMANDS = 4_096
"""Undelivered answers at which new work is refused; urgent commands have as many places again."""
FULL_DISK_PAUSE_SECONDS = 5.0
"""How long new work is refused after a commit met a full disk."""


class Context(NamedTuple):
    """On whose behalf a command is given."""

    actor: str
    """`key:<id>`, `policy:<name>`, `executor`, `observer`, `timer`, `anonymous`."""
    correlation: str
    """The id of the request at the beginning of it all."""
    causation: int = 0
    """The position of the event that made somebody give this command; 0 for a request from outside."""


class Answer(NamedTuple):
    """What became of a command, once durable."""

    subject_id: str
    """The aggregate it is about: the one named, or the earlier one of a repetition."""
    position: int
    """Of its last event; 0 when nothing had to happen."""


class Expected(NamedTuple):
    """The version a stream must have for a command to be decided."""

    version: int


NO_STREAM = Expected(0)
"""The stream must not exist yet."""

Done = Callable[[Answer | PloinkyError], None]


class _Aggregate(NamedTuple):
    state: Any
    version: int


class _Batch:
    """What was decided since the last hand-over."""

    __slots__ = ("answers", "payloads", "recorded", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.payloads: list[PayloadRow] = []
        self.recorded: list[Recorded] = []
        self.answers: list[tuple[Done, Answer | PloinkyError]] = []


class Dispatcher:
    """Decide commands one after the other over one journal."""

    def __init__(  # noqa: PLR0913 - the ports it stands on, each named by its only caller
        self,
        *,
        store: JournalStore,
        writer: Writer,
        codec: Codec,
        deciders: Mapping[str, Decider],
        clock: Clock,
        head: Head,
        last_at: int,
        indexes: Callable[[], Indexes],
        schedule: Callable[[Callable[[], None]], object],
    ) -> None:
        """Take over at `head`.

        `indexes` makes them anew from the views; `schedule` runs a callback soon, as `loop.call_soon` does.
        """
        self._store = store
        self._writer = writer
        self._codec = codec
        self._deciders = deciders
        self._clock = clock
        self._committed = head
        self._decided = head
        self._committed_at = self._decided_at = last_at
        self._make_indexes = indexes
        self.indexes = indexes()
        self._schedule = schedule
        self._aggregates: OrderedDict[str, _Aggregate] = OrderedDict()
        self._pending = _Batch()
        self._in_flight: _Batch | None = None
        self._is_flush_scheduled = False
        self._undelivered = 0
        self._full_until = 0.0
        self._fatal: PloinkyError | None = None
        self.followers: list[Callable[[Sequence[Recorded]], None]] = []
        """Called in order after each COMMIT with its events, before its answers are given."""
        self.on_fatal: Callable[[PloinkyError], None] = _ignore
        """Called once when the journal cannot be written any more: the process has to end."""

    @property
    def head(self) -> Head:
        """Where the committed journal ends."""
        return self._committed

    @property
    def decided_position(self) -> int:
        """The position of the newest decision, committed or not: what follows from it in the same turn names it."""
        return self._decided.position

    @property
    def is_idle(self) -> bool:
        """Whether every command given so far has been answered."""
        return self._undelivered == 0

    def submit(
        self,
        command: Command,
        context: Context,
        done: Done | None = None,
        *,
        expected: Expected | None = None,
        is_urgent: bool = False,
        is_new: bool = False,
    ) -> None:
        """Decide a command; `done` hears the answer after COMMIT. Never raises, never blocks on a commit.

        `is_urgent` is for what must get through when new work is refused: ends, stops, cancellations, outcomes.
        `is_new` says that the subject's id was minted for this command, so that the journal is not read for it.
        """
        answer: Answer | PloinkyError
        try:
            self._admit(is_urgent=is_urgent)
        except PloinkyError as refusal:
            # At once: it rests on no decision, and must not make the queue any longer.
            if done is not None:
                done(refusal)
            return
        try:
            answer = self._decide(command, context, expected, is_new=is_new)
        except PloinkyError as refusal:
            answer = refusal
        except UnicodeEncodeError as error:
            answer = Invalid(f"A name in this request has no UTF-8 form: {error}")
        if done is None:
            return
        if self._in_flight is None and not self._pending.records:
            done(answer)
            return
        self._undelivered += 1
        self._pending.answers.append((done, answer))

    def _admit(self, *, is_urgent: bool) -> None:
        if self._fatal is not None:
            raise ShuttingDown from self._fatal
        limit = WAITING_LIMIT_COMMANDS * (2 if is_urgent else 1)
        if self._undelivered >= limit:
            raise Overloaded
        if not is_urgent and self._full_until and self._clock.monotonic() < self._full_until:
            raise JournalFull

    def _decide(self, command: Command, context: Context, expected: Expected | None, *, is_new: bool) -> Answer:
        decider = self._deciders[command.KIND]
        stream = stream_name(command.KIND, command.subject_id)
        aggregate = self._load(stream, decider, is_new=is_new)
        if expected is not None and expected.version != aggregate.version:
            raise VersionConflict(expected=expected.version, actual=aggregate.version)
        at = max(to_microseconds(self._clock.now()), self._decided_at)
        self.indexes.now = moment = from_microseconds(at)
        decision = decider.decide(command, aggregate.state, self.indexes)
        if isinstance(decision, Repeated):
            return Answer(decision.subject_id, 0)
        if not decision:
            return Answer(command.subject_id, 0)
        # Everything that can fail comes before anything is changed: a command that cannot be encoded fails alone.
        encoded = [self._encode(item) for item in decision]
        state, version, head = aggregate.state, aggregate.version, self._decided
        batch = self._pending
        for event, payloads, data in encoded:
            version += 1
            record = _record(head, stream, version, event, at, context, data)
            head = Head(record.position, record.hash, head.epoch)
            batch.records.append(record)
            for name, payload in payloads.items():
                batch.payloads.append(PayloadRow(head.position, name, payload.salt, payload.content, payload.blob))
            batch.recorded.append(
                Recorded(head.position, command.KIND, command.subject_id, version, moment, *context, event, payloads)
            )
            state = decider.evolve(state, event)
            self.indexes.apply(command.subject_id, event)
        self._decided, self._decided_at = head, at
        self._keep(stream, _Aggregate(state, version))
        self._flush_soon()
        return Answer(command.subject_id, head.position)

    def _encode(self, item: Event | Attached) -> tuple[Event, Mapping[str, Any], bytes]:
        event, payloads = item if isinstance(item, Attached) else (item, NO_PAYLOADS)
        return event, payloads, self._codec.encode(event)

    def _load(self, stream: str, decider: Decider, *, is_new: bool) -> _Aggregate:
        cached = self._aggregates.get(stream)
        if cached is not None:
            return cached
        state, version = decider.initial, 0
        while not is_new and (records := self._store.read_stream(stream, version)):
            for record in records:
                event = self._codec.decode(record)
                version = record.version
                if event is not None:
                    state = decider.evolve(state, event)
        return _Aggregate(state, version)

    def _keep(self, stream: str, aggregate: _Aggregate) -> None:
        self._aggregates[stream] = aggregate
        self._aggregates.move_to_end(stream)
        if len(self._aggregates) > CACHED_AGGREGATES:
            # The oldest entry is committed for long: far more than a batch has been decided since.
            self._aggregates.popitem(last=False)

    def _flush_soon(self) -> None:
        # Not at once: what is decided in the same turn of the loop shares the commit.
        if self._in_flight is None and not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._schedule(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        if self._in_flight is not None or self._fatal is not None:
            return
        batch, self._pending = self._pending, _Batch()
        if not batch.records:
            # Refusals and repetitions that waited for the commit just done.
            self._deliver(batch)
            return
        self._in_flight = batch
        self._writer.write(AppendBatch(self._committed, batch.records, batch.payloads), self._on_done)

    def _on_done(self, error: PloinkyError | None) -> None:
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return
        if error is not None:
            self._on_failed(batch, error)
            return
        last = batch.records[-1]
        self._committed, self._committed_at = Head(last.position, last.hash, last.epoch), last.at
        self._full_until = 0.0
        defect = self._tell(batch.recorded)
        self._deliver(batch)
        if defect is not None:
            self._fatal = defect
            self.on_fatal(defect)
            return
        self._flush()

    def _tell(self, recorded: Sequence[Recorded]) -> PloinkyError | None:
        """Tell the followers of a commit; return the defect by which one of them missed it."""
        for follower in self.followers:
            try:
                follower(recorded)
            except Exception as error:  # noqa: BLE001 - views that missed an event are wrong from here on: end, replay
                defect = Broken(f"The views could not follow position {recorded[-1].position}: {error!r}")
                defect.__cause__ = error
                return defect
        return None

    def _deliver(self, batch: _Batch) -> None:
        self._undelivered -= len(batch.answers)
        for done, answer in batch.answers:
            done(answer)

    def _on_failed(self, batch: _Batch, error: PloinkyError) -> None:
        """Fail everything undelivered, since the pending decisions rest on the failed ones, and forget them all."""
        pending, self._pending = self._pending, _Batch()
        self._aggregates.clear()
        self._decided, self._decided_at = self._committed, self._committed_at
        self.indexes = self._make_indexes()
        answer: PloinkyError = error
        if isinstance(error, JournalFull):
            self._full_until = self._clock.monotonic() + FULL_DISK_PAUSE_SECONDS
            self._store.release_ballast()
        else:
            self._fatal = error
            if isinstance(error, JournalBroken | Fenced):
                answer = OutcomeUnknown()
        for failed in (batch, pending):
            self._undelivered -= len(failed.answers)
            for done, _ in failed.answers:
                done(answer)
        if self._fatal is not None:
            self.on_fatal(error)


def _record(head: Head, stream: str, version: int, event: Event, at: int, context: Context, data: bytes) -> Record:
    position, epoch = head.position + 1, head.epoch
    digest = record_hash(head.hash, position, stream, version, event.TYPE, event.SCHEMA, at, *context, epoch, data)
    return Record(position, stream, version, event.TYPE, event.SCHEMA, at, *context, epoch, data, digest)


def _ignore(_error: PloinkyError) -> None:
    """Stand in until somebody cares."""
