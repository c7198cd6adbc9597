"""Which instance is meant, what is recorded, and what is refused."""

import asyncio
import threading
from pathlib import Path

import pytest

from ploinky.control.pools import EXEC_THREADS
from ploinky.domain.errors import InstanceNotFound, Overloaded, RuntimeUnavailable, TransitionInvalid
from ploinky.domain.instance import Status
from ploinky.ports.runtime import Executed
from ploinky.usecases.operations import Operations, Order
from tests.control.machine import ANYBODY, Machine, Surroundings, running
from tests.waiting import eventually

LIST = Order(("ls", "secret"))


def operations(machine: Machine) -> Operations:
    around = machine.around
    return Operations(machine.views, machine.core.commander, machine.world.runtimes, machine.core.pools, around.clock)


def test_runs_in_the_serving_generation(tmp_path: Path) -> None:
    """The generation that serves is meant; the record says who and what, without arguments."""

    async def scenario() -> None:
        around = Surroundings(tmp_path)
        around.runtime.commands = lambda command, stdin: Executed(4, " ".join(command).encode(), stdin)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            where, done = await operations(machine).exec("d1", LIST._replace(stdin=b"in"), ANYBODY)
            assert (where, done) == (instance_id, Executed(4, b"ls secret", b"in"))
            record = list(machine.storage.store.read_stream(f"instance/{instance_id}"))[-1]
            assert (record.type, record.actor) == ("instance.exec_requested", ANYBODY.actor)
            assert record.data == b'{"program":"ls","argument_count":1}'

    asyncio.run(scenario())


def test_refuses_what_does_not_run(tmp_path: Path) -> None:
    """Neither a paused instance nor one that was never there runs anything, and nothing is recorded."""

    async def scenario() -> None:
        around = Surroundings(tmp_path)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            for order in (LIST._replace(generation=9), LIST._replace(number=9)):
                with pytest.raises(InstanceNotFound):
                    await operations(machine).exec("d1", order, ANYBODY)
            instance = machine.instance(instance_id)
            assert instance is not None
            around.runtime.pause(instance.name)

            def is_paused() -> bool:
                seen = machine.instance(instance_id)
                return seen is not None and seen.status is Status.PAUSED

            await eventually(is_paused, what="the pause is seen")
            with pytest.raises(TransitionInvalid):
                await operations(machine).exec("d1", LIST, ANYBODY)
            assert "instance.exec_requested" not in machine.types(f"instance/{instance_id}")

    asyncio.run(scenario())


def test_only_so_many_run_at_once(tmp_path: Path) -> None:
    """One more than the bound is refused at once; when one ends there is room again, also if its caller went away."""

    async def scenario() -> None:
        around = Surroundings(tmp_path)
        goes_on = threading.Event()

        def wait(_command: tuple[str, ...], _stdin: bytes) -> Executed:
            goes_on.wait(30)
            return Executed(0)

        around.runtime.commands = wait
        async with running(around) as machine:
            await machine.deploy()
            people = operations(machine)
            waiting = [asyncio.ensure_future(people.exec("d1", LIST, ANYBODY)) for _ in range(EXEC_THREADS)]

            async def is_refused() -> bool:
                try:
                    await asyncio.wait_for(people.exec("d1", LIST, ANYBODY), 0.05)
                except Overloaded:
                    return True
                except TimeoutError:
                    return False
                return False

            while not await is_refused():
                pass
            waiting[0].cancel()
            assert await is_refused()
            goes_on.set()
            await asyncio.gather(*waiting, return_exceptions=True)
            await eventually(lambda: machine.core.pools.exec_count == 0, what="room again")
            assert (await people.exec("d1", LIST, ANYBODY))[1].exit_code == 0

    asyncio.run(scenario())


def test_measures_between_looks(tmp_path: Path) -> None:
    """The share of a processor is what was used between two looks; a silent engine leaves everything unknown."""

    async def scenario() -> None:
        around = Surroundings(tmp_path)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            people = operations(machine)
            instance = machine.instance(instance_id)
            assert instance is not None

            async def look(cpu_seconds: float) -> tuple[float | None, bool]:
                around.runtime.usage = around.runtime.usage._replace(cpu_seconds=cpu_seconds)
                (measured,) = await people.measure({instance_id: instance})
                return measured.cpu_percent, measured.usage is None

            assert await look(1.0) == (None, False)
            assert await look(2.0) == (None, False)  # no time has passed
            around.clock.advance(4.0)
            assert await look(3.0) == (25.0, False)
            around.clock.advance(1.0)
            assert await look(2.0) == (0.0, False)

            def fail(method: str, _name: str) -> None:
                if method == "stats":
                    raise RuntimeUnavailable

            around.runtime.before_call = fail
            assert await look(9.0) == (None, True)

    asyncio.run(scenario())
