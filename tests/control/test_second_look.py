"""An engine may tell of an end before its list shows it."""

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.control import runtime_observer
from ploinky.domain.instance import Status
from ploinky.ports.runtime import Observation
from tests.control.machine import Play, Surroundings, running
from tests.waiting import eventually


class LateRuntime(MemoryRuntime):
    """Lists once more what was before, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_late = False
        self._before: list[Observation] = []

    def list(self, journal_id: str) -> list[Observation]:
        if self.is_late:
            self.is_late = False
            return self._before
        self._before = super().list(journal_id)
        return self._before


def test_looks_again_after_a_hint(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that the look after its event does not show is found by the second one, not by the next full list."""
    monkeypatch.setattr(runtime_observer, "RESYNC_SECONDS", 1_000)
    monkeypatch.setattr(runtime_observer, "SECOND_LOOK_SECONDS", 0.05)

    async def scenario(around: Surroundings) -> None:
        around.runtime = late = LateRuntime()
        async with running(around) as machine:
            instance_id = await machine.deploy()
            instance = machine.instance(instance_id)
            assert instance is not None
            late.list(machine.world.site.journal_id)
            late.is_late = True
            late.exit(instance.name, 3)
            await eventually(lambda: _has_stopped(machine.instance(instance_id)), what="the end on record")
            assert not late.is_late

    def _has_stopped(instance: object) -> bool:
        return getattr(instance, "status", Status.REMOVED) in {Status.STOPPED, Status.REMOVED}

    play(scenario)
