"""The journal's machinery without a loop or a thread: the test says when a turn ends and when a batch is written."""

from collections.abc import Callable, Sequence

import msgspec

from ploinky.adapters.memory.clock import ManualClock
from ploinky.adapters.memory.journal import AppendFault, JournalContents, MemoryJournalStore
from ploinky.domain.commands import Command
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.errors import PloinkyError
from ploinky.domain.indexes import DeploymentEntry, Indexes
from ploinky.journal.chain import verify
from ploinky.journal.codec import Codec
from ploinky.journal.dispatcher import Answer, Context, Dispatcher, Expected
from ploinky.journal.follower import Follower
from ploinky.journal.inline_writer import InlineWriter
from ploinky.views.views import Views

ANYBODY = Context("key:tester", "request-1")
SETTLING_LIMIT_STEPS = 100_000


class Heard:
    """What the giver of one command has heard so far."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.answers: list[Answer | PloinkyError] = []

    def __call__(self, answer: Answer | PloinkyError) -> None:
        self.answers.append(answer)

    @property
    def is_answered(self) -> bool:
        return bool(self.answers)

    @property
    def answer(self) -> Answer | PloinkyError:
        """The one answer; fails when there is none yet, or a second one."""
        (answer,) = self.answers
        return answer

    @property
    def position(self) -> int:
        assert isinstance(self.answer, Answer), self.answer
        return self.answer.position

    @property
    def code(self) -> str:
        assert isinstance(self.answer, PloinkyError), self.answer
        return self.answer.code


class Stepping:
    """A dispatcher over a memory journal, with views that follow it."""

    def __init__(
        self,
        contents: JournalContents | None = None,
        *,
        faults: Sequence[AppendFault] = (),
        clock: ManualClock | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.store = MemoryJournalStore(contents, faults=faults)
        self.codec = Codec()
        self.views = Views()
        follower = Follower(self.store, self.codec)
        follower.catch_up(self.views.fold)
        self.writer = InlineWriter(self.store)
        self.scheduled: list[Callable[[], None]] = []
        self.fatal: list[PloinkyError] = []
        self.dispatcher = Dispatcher(
            store=self.store,
            writer=self.writer,
            codec=self.codec,
            deciders=DECIDERS,
            clock=self.clock,
            head=self.store.take_epoch(),
            last_at=follower.last.at if follower.last else 0,
            indexes=self.views.indexes,
            schedule=self.scheduled.append,
        )
        self.dispatcher.followers.append(self.views.fold)
        self.dispatcher.on_fatal = self.fatal.append

    def give(
        self,
        command: Command,
        *,
        context: Context = ANYBODY,
        expected: Expected | None = None,
        is_urgent: bool = False,
    ) -> Heard:
        """Give a command and return where its answer will be."""
        heard = Heard(command)
        self.dispatcher.submit(command, context, heard, expected=expected, is_urgent=is_urgent)
        return heard

    def turn(self) -> None:
        """End the turn of the loop: run what was scheduled."""
        due, self.scheduled[:] = list(self.scheduled), []
        for callback in due:
            callback()

    def settle(self) -> None:
        """Let turns end and batches be written until nothing is left to do."""
        for _ in range(SETTLING_LIMIT_STEPS):
            self.turn()
            if not self.writer.step() and not self.scheduled:
                return
        raise AssertionError("it never settles")

    def run(self, *commands: Command) -> list[Heard]:
        """Give commands one after the other, each durable before the next."""
        heard = []
        for command in commands:
            heard.append(self.give(command))
            self.settle()
        return heard

    def ask(self, command: Command) -> Heard:
        """Give one command and settle."""
        return self.run(command)[0]

    def types(self, stream: str | None = None) -> list[str]:
        """Return the types of what is committed, of one stream or of all."""
        return [record.type for record in self.store.contents.records if stream in {None, record.stream}]

    def verify(self) -> None:
        """Check the chain over everything committed."""
        verify(self.store.contents.records, self.store.head())


def dumped(views: Views) -> bytes:
    """Return what two ways of getting to a state are compared by."""
    return msgspec.json.encode(views.dump(), order="sorted")


def rebuilt(store: MemoryJournalStore) -> Views:
    """Fold the whole journal into fresh views."""
    views = Views()
    Follower(store, Codec()).catch_up(views.fold)
    return views


def contents_of(indexes: Indexes) -> dict[str, object]:
    """Return what the indexes say, without the instant of their last decision."""
    return {
        "routes": indexes.routes,
        "deployments": {key: _entry(entry) for key, entry in indexes.deployments.items()},
        "instances": indexes.instances,
        "running": indexes.running,
        "attempt_instances": indexes.attempt_instances,
        "waiting_deployments": indexes.waiting_deployments,
        "idempotency": {key: indexes.idempotency[key] for key in indexes.idempotency},
        "is_initialised": indexes.is_initialised,
    }


def _entry(entry: DeploymentEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__slots__}
