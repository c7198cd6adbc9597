"""The floors are computed over all files of a part, from coverage's own report."""

from ops.coverage_floors import FLOORS, measure


def record(statements: int, covered: int, branches: int = 0, covered_branches: int = 0) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": covered,
            "num_branches": branches,
            "covered_branches": covered_branches,
        }
    }


def test_weighs_files_by_their_size() -> None:
    """A large uncovered file breaks the floor although a small one is covered completely."""
    (core,) = measure({"ploinky/domain/a.py": record(10, 10), "ploinky/views/b.py": record(90, 0)})
    assert core.percent == 10
    assert not core.is_held


def test_counts_branches_and_statements_together() -> None:
    """A part at its floor exactly is held, half of the branches missing or not."""
    (agentcore,) = measure({"agentcore/a.py": record(80, 70, branches=20, covered_branches=10)})
    assert agentcore.percent == 80
    assert agentcore.is_held


def test_leaves_out_parts_without_files() -> None:
    """Files that belong to no floor, and empty ones, are not reported."""
    assert list(measure({"ploinky/cli/a.py": record(10, 0), "ploinky/domain/__init__.py": record(0, 0)})) == []


def test_names_the_least_covered_files_first() -> None:
    """The report line names the worst files, so that the reader knows where to write tests."""
    (client,) = measure({"ploinky/client/good.py": record(10, 10), "ploinky/client/bad.py": record(10, 2)})
    assert str(client).endswith("BROKEN; least: ploinky/client/bad.py 20, ploinky/client/good.py 100")


def test_every_prefix_ends_where_a_name_does() -> None:
    """A prefix names a folder or a family of adapters and never matches half a name."""
    for floor in FLOORS:
        assert all(prefix.endswith(("/", "_")) for prefix in floor.prefixes)
