"""Leftovers in memory."""

from ploinky.ports.leftovers import DiskSpace, Leftover


class MemoryLeftovers:
    """The `Leftovers` port over a dictionary of sizes."""

    def __init__(self) -> None:
        self.sizes: dict[Leftover, int] = {}
        self.disk = DiskSpace(1 << 40, 1 << 41)

    def space(self) -> DiskSpace:
        return self.disk

    def found(self) -> list[Leftover]:
        return sorted(self.sizes)

    def remove(self, leftover: Leftover) -> int:
        return self.sizes.pop(leftover, 0)
