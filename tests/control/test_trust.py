"""A runtime that keeps nothing apart runs trusted sources only."""

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.control.runtimes import Runtimes
from ploinky.domain.errors import SourceNotTrusted
from ploinky.domain.specs import RuntimeChoice
from ploinky.ports.runtime import Availability

OWN, FOREIGN = "/srv/agents", "https://git.example.com/x"


class OpenRuntime(MemoryRuntime):
    """Says of itself that it keeps nothing apart."""

    def check(self) -> Availability:
        return Availability(is_usable=True, version="nothing", reason="", keeps_strangers_apart=False)


def chosen(runtime: MemoryRuntime, repository: str, asked: RuntimeChoice = RuntimeChoice.AUTO) -> object:
    runtimes = Runtimes({"memory": runtime}, trusts=lambda source: source == OWN)
    return runtimes.choose(asked, repository, needs_image=False)


@pytest.mark.parametrize("asked", [RuntimeChoice.AUTO, RuntimeChoice.MEMORY])
def test_refuses_a_stranger(asked: RuntimeChoice) -> None:
    """Whether asked for or chosen, it does not run what nobody trusts, and names the key to set."""
    with pytest.raises(SourceNotTrusted, match=FOREIGN) as refused:
        chosen(OpenRuntime(), FOREIGN, asked)
    assert refused.value.code == "SOURCE_NOT_TRUSTED"
    assert "trustedSources" in refused.value.advice


def test_runs_what_is_trusted() -> None:
    """A trusted source runs there."""
    runtime = OpenRuntime()
    assert chosen(runtime, OWN) is runtime


def test_asks_nobody_where_agents_are_kept_apart() -> None:
    """A runtime that keeps agents apart runs anything."""
    runtime = MemoryRuntime()
    assert chosen(runtime, FOREIGN) is runtime


def test_trusts_nothing_unless_told() -> None:
    """Without anybody who knows what is trusted, nothing is."""
    with pytest.raises(SourceNotTrusted):
        Runtimes({"memory": OpenRuntime()}).choose(RuntimeChoice.AUTO, OWN, needs_image=False)
