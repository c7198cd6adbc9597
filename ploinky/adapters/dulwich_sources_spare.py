"""Wait for a request before becoming the child that speaks git: what it needs is imported while nobody waits.

Started by `dulwich_sources_process` in two ways: with nothing to say it becomes the child at once; with
`SPARE_ARGUMENT` it lets the rollout that it was started behind go first, and ends when it is never needed.
"""

import importlib
import select
import sys

SPARE_ARGUMENT = "spare"
CHILD_MODULE = "ploinky.adapters.dulwich_sources_child"
POLITE_SECONDS = 2.0
"""Before it imports anything: the instance that was fetched for starts in this time."""
SPARE_LIMIT_SECONDS = 600.0
"""How long it holds its memory for a request that may never come."""


def main() -> None:
    """Become the child once there is a request; end when there is none, or nobody to ask."""
    is_spare = SPARE_ARGUMENT in sys.argv[1:]
    if is_spare:
        _is_asked(POLITE_SECONDS)
    child = importlib.import_module(CHILD_MODULE)
    if not is_spare or _is_asked(SPARE_LIMIT_SECONDS):
        child.main()


def _is_asked(limit_seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], limit_seconds)[0])


if __name__ == "__main__":
    main()
