"""The runtimes of this machine, by name, and which one `auto` means."""

from collections.abc import Mapping

from ploinky.domain.errors import InstanceNotFound, RuntimeUnavailable
from ploinky.domain.specs import RuntimeChoice
from ploinky.ports.runtime import Availability, Runtime


class Runtimes:
    """Choose among runtimes by asking them."""

    def __init__(self, runtimes: Mapping[str, Runtime]) -> None:
        """Take them in the order of preference."""
        self.by_kind = dict(runtimes)

    def get(self, kind: str) -> Runtime:
        """Return a runtime that is wired here. Raises `InstanceNotFound` when this server has none of that kind."""
        runtime = self.by_kind.get(kind)
        if runtime is None:
            raise InstanceNotFound(f"This server has no runtime {kind!r}")
        return runtime

    def choose(self, asked: RuntimeChoice, *, needs_image: bool) -> Runtime:
        """Return the runtime asked for, or the first usable one. Blocks; raises `RuntimeUnavailable`, saying why."""
        kinds = list(self.by_kind) if asked is RuntimeChoice.AUTO else [str(asked)]
        reasons: list[str] = []
        for kind in kinds:
            if kind == "process" and needs_image and asked is RuntimeChoice.AUTO:
                reasons.append("process: cannot run an image")
                continue
            runtime = self.by_kind.get(kind)
            availability = runtime.check() if runtime else Availability(False, "", "is not part of this server")
            if runtime is not None and availability.is_usable:
                return runtime
            reasons.append(f"{kind}: {availability.reason}")
        raise RuntimeUnavailable(
            f"No runtime can be used ({'; '.join(reasons)})",
            hint="Start the container engine, or deploy with --runtime process and without an image.",
        )

    def check_all(self) -> dict[str, Availability]:
        """Ask each runtime whether it works here. Blocks."""
        return {kind: runtime.check() for kind, runtime in self.by_kind.items()}

    def close(self) -> None:
        """Close all."""
        for runtime in self.by_kind.values():
            runtime.close()
