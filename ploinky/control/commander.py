"""Give commands and wait for what became of them."""

import asyncio
from collections.abc import Callable

from ploinky.domain.commands import Command
from ploinky.domain.errors import PloinkyError
from ploinky.journal.dispatcher import Answer, Context, Dispatcher, Done, Expected


class Commander:
    """The dispatcher, for coroutines."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Wrap one dispatcher; call on its event loop only."""
        self._dispatcher = dispatcher

    async def execute(
        self, command: Command, context: Context, *, expected: Expected | None = None, is_urgent: bool = False
    ) -> Answer:
        """Give a command and return its answer once durable, or raise the refusal."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._dispatcher.submit(command, context, _resolver(future), expected=expected, is_urgent=is_urgent)
        return await future

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
