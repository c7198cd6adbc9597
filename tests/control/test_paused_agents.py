"""A paused agent gives no sign of life, and nobody holds that against it."""

from ploinky.adapters.memory.courier import MemoryCourier
from ploinky.control.signs_of_life import SILENCE_LIMIT_SECONDS
from ploinky.control.task_traffic import LONG_CLAIM_SECONDS
from ploinky.domain.instance import Status
from ploinky.domain.task import TaskState
from ploinky.ports.courier import Finding
from tests.control.machine import Machine, Play, Surroundings, echo, running
from tests.waiting import eventually

LONG = SILENCE_LIMIT_SECONDS * 4


class CountingCourier(MemoryCourier):
    """Counts how often a queue was scanned."""

    def __init__(self) -> None:
        super().__init__(echo)
        self.scans = 0

    def look(self, instance_id: str, *, include_claims: bool = False) -> list[Finding]:
        self.scans += include_claims
        return super().look(instance_id, include_claims=include_claims)


async def see(machine: Machine, instance_id: str, status: Status) -> None:
    def is_seen() -> bool:
        instance = machine.instance(instance_id)
        return instance is not None and instance.status is status

    await eventually(is_seen, what=f"{instance_id} is {status}")


def test_is_not_suspected_while_paused_nor_right_after(play: Play) -> None:
    """However long the pause, its silence is no sign of death; after the resume its signs start anew."""

    async def scenario(around: Surroundings) -> None:
        around.courier = courier = CountingCourier()

        async def scans() -> None:
            enough = courier.scans + 3
            await eventually(lambda: courier.scans >= enough, what="more scans of the queue")

        async with running(around) as machine:
            instance_id = await machine.deploy()
            instance = machine.instance(instance_id)
            assert instance is not None
            courier.is_losing_results = True
            await machine.submit("t1")
            await scans()
            around.clock.advance(LONG_CLAIM_SECONDS * 2)
            await eventually(lambda: machine.task("t1").is_claimed, what="the claim")
            around.runtime.pause(instance.name)
            await see(machine, instance_id, Status.PAUSED)
            around.clock.advance(LONG)
            await scans()
            around.runtime.resume(instance.name)
            await see(machine, instance_id, Status.RUNNING)
            await scans()
            assert "instance.stop_requested" not in machine.types(f"instance/{instance_id}")
            assert machine.task("t1").state is TaskState.RUNNING
            around.clock.advance(LONG)
            await eventually(
                lambda: "instance.stop_requested" in machine.types(f"instance/{instance_id}"), what="the suspicion"
            )

    play(scenario)
