"""What the engine's statistics mean, on cgroups of both versions and from engines that do not know everything."""

import pytest

from ploinky.adapters.docker_runtime_stats import read_usage
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import Usage

CPU = {"cpu_usage": {"total_usage": 1_500_000_000}}


@pytest.mark.parametrize("cache", ["total_inactive_file", "inactive_file"], ids=["version 1", "version 2"])
def test_memory_is_counted_without_the_file_cache(cache: str) -> None:
    """What the kernel takes back when it wants is not the agent's."""
    memory = {"usage": 50_000, "limit": 100_000, "stats": {cache: 20_000}}
    answer = {"cpu_stats": CPU, "memory_stats": memory, "pids_stats": {"current": 3, "limit": 32}}
    assert read_usage(answer) == Usage(1.5, 30_000, 100_000, 3, 32)


@pytest.mark.parametrize(
    "answer",
    [
        {"cpu_stats": CPU},
        {"cpu_stats": CPU, "memory_stats": {"limit": 2**63 - 4096}, "pids_stats": {"current": 0, "limit": 2**64 - 1}},
        {"cpu_stats": CPU, "memory_stats": {"stats": None}, "pids_stats": {}},
    ],
    ids=["nothing told", "no limits", "empty"],
)
def test_what_is_not_told_is_unknown(answer: object) -> None:
    """Neither missing numbers nor the largest possible ones are taken for true."""
    assert read_usage(answer) == Usage(cpu_seconds=1.5)


@pytest.mark.parametrize("answer", [None, [], {"memory_stats": {"usage": "much"}}, {"pids_stats": 3}])
def test_refuses_what_makes_no_sense(answer: object) -> None:
    """An engine that answers something else has not answered."""
    with pytest.raises(RuntimeUnavailable):
        read_usage(answer)
