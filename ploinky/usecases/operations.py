"""What people do with what runs: commands inside instances, and what instances take of the machine."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ploinky.control.commander import Commander
from ploinky.control.pools import Pools
from ploinky.control.runtimes import Runtimes
from ploinky.domain import commands as c
from ploinky.domain.errors import DeploymentNotFound, InstanceNotFound, Invalid, PloinkyError
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Clock
from ploinky.ports.runtime import Executed, Usage
from ploinky.views.views import Views

PROGRAM_LIMIT_CHARACTERS = 256
STDIN_LIMIT_BYTES = 16 * 1024 * 1024
LOOKS_LIMIT = 1_000
"""Instances whose last look is remembered for the share of the processor."""


class Order(NamedTuple):
    """A command for an instance of a deployment."""

    command: tuple[str, ...]
    stdin: bytes = b""
    timeout_seconds: float = 30.0
    generation: int | None = None
    number: int | None = None


class Measured(NamedTuple):
    """What one instance takes; `usage` is None when nobody can tell."""

    instance_id: str
    instance: Instance
    usage: Usage | None
    cpu_percent: float | None


class _Look(NamedTuple):
    cpu_seconds: float
    at: float


class Operations:
    """Work on running instances."""

    def __init__(self, views: Views, commander: Commander, runtimes: Runtimes, pools: Pools, clock: Clock) -> None:
        """Take the machinery; the clock times looks at the processors' work."""
        self._views = views
        self._commander = commander
        self._runtimes = runtimes
        self._pools = pools
        self._clock = clock
        self._looks: dict[str, _Look] = {}

    async def exec(self, deployment_id: str, order: Order, context: Context) -> tuple[str, Executed]:
        """Run a command inside an instance; return which one and how the command ended. Recorded before it begins.

        Raises `DeploymentNotFound`, `InstanceNotFound`, `TransitionInvalid` (it does not run), `Overloaded`, and what
        the runtime raises.
        """
        if len(order.stdin) > STDIN_LIMIT_BYTES:
            raise Invalid(f"The input is larger than {STDIN_LIMIT_BYTES} bytes")
        if any("\0" in word for word in order.command):
            raise Invalid("A command holds a null character, which none can")
        instance_id, instance = self.find(deployment_id, order.generation, order.number)
        record = c.RecordExec(
            subject_id=instance_id,
            program=order.command[0][:PROGRAM_LIMIT_CHARACTERS],
            argument_count=len(order.command) - 1,
        )
        await self._commander.execute(record, context)
        runtime = self._runtimes.get(instance.runtime)
        done = await self._pools.exec(
            lambda: runtime.exec(instance.name, order.command, stdin=order.stdin, timeout_seconds=order.timeout_seconds)
        )
        return instance_id, done

    def find(self, deployment_id: str, generation: int | None, number: int | None) -> tuple[str, Instance]:
        """Choose a living instance: of the generation that serves, else of the newest, if none is named.

        Raises `DeploymentNotFound`, `InstanceNotFound`.
        """
        row = self._views.deployments.rows.get(deployment_id)
        if row is None:
            raise DeploymentNotFound(deployment=deployment_id)
        living = [
            (key, instance)
            for key, instance in self._views.instances_of(deployment_id)
            if instance.status in LIVE
            and (generation is None or instance.generation == generation)
            and (number is None or instance.number == number)
        ]
        if not living:
            raise InstanceNotFound(
                "No such instance of this deployment runs", hint="See `ploinky instances`.", deployment=deployment_id
            )
        active = row.state.active_generation
        # Those of the generation that serves first, then newer ones; of each the running ones, then the first.
        return min(
            living,
            key=lambda item: (
                item[1].generation != active,
                -item[1].generation,
                item[1].status is not Status.RUNNING,
                item[1].number,
            ),
        )

    async def measure(self, instances: Mapping[str, Instance]) -> Sequence[Measured]:
        """Look at what instances take. An engine that does not answer leaves its instances unknown."""
        return await asyncio.gather(*(self._measure(key, instance) for key, instance in instances.items()))

    async def _measure(self, instance_id: str, instance: Instance) -> Measured:
        runtime = self._runtimes.by_kind.get(instance.runtime)
        usage = None
        if runtime is not None and instance.status in LIVE:
            try:
                usage = await self._pools.engine(lambda: runtime.stats(instance.name))
            except PloinkyError:
                usage = None
        return Measured(instance_id, instance, usage, self._percent(instance_id, usage))

    def _percent(self, instance_id: str, usage: Usage | None) -> float | None:
        before = self._looks.pop(instance_id, None)
        if usage is None or usage.cpu_seconds is None:
            return None
        now = _Look(usage.cpu_seconds, self._clock.monotonic())
        self._looks[instance_id] = now
        if len(self._looks) > LOOKS_LIMIT:
            self._looks.pop(next(iter(self._looks)))
        if before is None or now.at <= before.at:
            return None
        # Some processes leave unaccounted for what they had used.
        return max(0.0, 100 * (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at))
