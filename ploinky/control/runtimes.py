"""The runtimes of this machine, by name, and which one `auto` means."""

from collections.abc import Callable, Mapping

from ploinky.domain.errors import InstanceNotFound, RuntimeUnavailable, SourceNotTrusted
from ploinky.domain.specs import RuntimeChoice
from ploinky.ports.runtime import Availability, Runtime


class Runtimes:
    """Choose among runtimes by asking them."""

    def __init__(self, runtimes: Mapping[str, Runtime], trusts: Callable[[str], bool] = lambda _: False) -> None:
        """Take them in the order of preference, and who tells which repositories the operator trusts."""
        self.by_kind = dict(runtimes)
        self._trusts = trusts

    def get(self, kind: str) -> Runtime:
        """Return a runtime that is wired here. Raises `InstanceNotFound` when this server has none of that kind."""
        runtime = self.by_kind.get(kind)
        if runtime is None:
            raise InstanceNotFound(f"This server has no runtime {kind!r}")
        return runtime

    def choose(self, asked: RuntimeChoice, repository: str, *, needs_image: bool) -> Runtime:
        """Return the runtime asked for, or the first usable one. Blocks.

        Raises `RuntimeUnavailable`, saying why, and `SourceNotTrusted` when the runtime would not keep the
        repository's agents apart from the server.
        """
        kinds = list(self.by_kind) if asked is RuntimeChoice.AUTO else [str(asked)]
        reasons: list[str] = []
        for kind in kinds:
            if kind == "process" and needs_image and asked is RuntimeChoice.AUTO:
                reasons.append("process: cannot run an image")
                continue
            runtime = self.by_kind.get(kind)
            availability = runtime.check() if runtime else Availability(False, "", "is not part of this server")
            if runtime is not None and availability.is_usable:
                if not availability.keeps_strangers_apart and not self._trusts(repository):
                    raise SourceNotTrusted(
                        f"{repository} is not trusted, and the runtime {kind} keeps nothing apart here",
                        runtime=availability.version,
                    )
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
