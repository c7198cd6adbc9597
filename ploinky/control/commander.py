"""Give commands and wait for what became of them."""

import asyncio
from collections.abc import Callable

from ploinky.domain.commands import Command
from ploinky.domain.errors import PloinkyError
from ploinky.domain.indexes import Indexes
from ploinky.journal.dispatcher import Answer, Context, Dispatcher, Done, Expected


class Commander:
    """The dispatcher, for coroutines."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Wrap one dispatcher; call on its event loop only."""
        self._dispatcher = dispatcher

    async def execute(
        self,
        command: Command,
        context: Context,
        *,
        expected: Expected | None = None,
        is_urgent: bool = False,
        is_new: bool = False,
    ) -> Answer:
        """Give a command and return its answer once durable, or raise the refusal.

        `is_new`: the subject's id was minted for this command.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._dispatcher.submit(
            command, context, _resolver(future), expected=expected, is_urgent=is_urgent, is_new=is_new
        )
        return await future

    def begin(self, command: Command, context: Context) -> "asyncio.Future[Answer]":
        """Give an urgent command now; what follows from it can be given before its answer is durable."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._dispatcher.submit(command, context, _resolver(future), is_urgent=True)
        return future

    @property
    def indexes(self) -> Indexes:
        """The rules' look-up tables as of the newest decision, which the views do not show yet."""
        return self._dispatcher.indexes

    @property
    def decided_position(self) -> int:
        """The position of the newest decision."""
        return self._dispatcher.decided_position

    def give(self, command: Command, context: Context, done: Done | None = None) -> None:
        """Give an urgent command and leave it: a refusal says that it was not needed any more.

        `done` hears the answer once durable, and must not raise.
        """
        self._dispatcher.submit(command, context, done, is_urgent=True)


def _resolver(future: asyncio.Future[Answer]) -> Callable[[Answer | PloinkyError], None]:
    def resolve(answer: Answer | PloinkyError) -> None:
        if future.done():
            return
        if isinstance(answer, PloinkyError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    return resolve
