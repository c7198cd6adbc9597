"""Where the environment of each generation is: the position of the event whose payload holds it."""

from typing import Any

import msgspec

from ploinky.domain.deployment import CHANGES, Deployment
from ploinky.domain.events import DeploymentRequested, DeploymentUpdated, RolloutRequested
from ploinky.journal.codec import Recorded


class Positions(msgspec.Struct):
    """One deployment's environments."""

    newest: int = 0
    """As last asked for; 0 = none was ever given."""
    by_generation: dict[int, int] = {}
    """As each generation was started with: one that is started again gets what it had."""


class EnvironmentsView:
    """Fold deployments' events into positions."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows: dict[str, Positions] = {}

    def apply(self, recorded: Recorded, before: Deployment | None, after: Deployment) -> None:
        """Take one event of a deployment in, with its state before and after it."""
        if after.is_gone:
            self._rows.pop(recorded.subject_id, None)
            return
        row = self._rows.setdefault(recorded.subject_id, Positions())
        match recorded.event:
            case DeploymentRequested() | DeploymentUpdated() if recorded.event.environment is not None:
                row.newest = recorded.position
            case RolloutRequested():
                is_again = before is not None and before.active is not None and recorded.event.reason not in CHANGES
                earlier = before.active_generation if before and is_again else 0
                position = row.by_generation.get(earlier, row.newest)
                kept = {one.generation for one in after.history}
                row.by_generation = {key: at for key, at in row.by_generation.items() if key in kept}
                row.by_generation[recorded.event.generation] = position

    def position(self, deployment_id: str, generation: int) -> int:
        """Return where a generation's environment is; 0 when it has none."""
        row = self._rows.get(deployment_id)
        return row.by_generation.get(generation, row.newest) if row else 0

    def newest(self, deployment_id: str) -> int:
        """Return where the environment is that was asked for last; 0 when none ever was."""
        row = self._rows.get(deployment_id)
        return row.newest if row else 0

    def dump(self) -> Any:
        """Return what a snapshot keeps; keys are text, as JSON sorts them."""
        return {
            key: {"newest": row.newest, "by_generation": {str(at): where for at, where in row.by_generation.items()}}
            for key, row in self._rows.items()
        }

    def load(self, raw: msgspec.Raw) -> None:
        """Take a snapshot's rows."""
        self._rows = msgspec.json.decode(raw, type=dict[str, Positions])
