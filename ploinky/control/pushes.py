"""Tell deployments that their branch has a new commit, whoever found out."""

import asyncio
from collections.abc import Iterable

from ploinky.control.commander import Commander
from ploinky.domain.commands import RecordPush, UpdateDeployment
from ploinky.domain.errors import PloinkyError, Unavailable
from ploinky.domain.repository import Delivery
from ploinky.journal.dispatcher import Context
from ploinky.views.views import Views


class Pushes:
    """Update deployments, then put on record why."""

    def __init__(self, views: Views, commander: Commander) -> None:
        """Take the machinery; call on its event loop only."""
        self._views = views
        self._commander = commander
        self._lock = asyncio.Lock()

    async def tell(
        self, names: Iterable[str], push: RecordPush, deployments: Iterable[str], context: Context
    ) -> Delivery:
        """Update deployments and record the push for the repositories of these names; return what is on record.

        The updates come first: a crash in between has the push told again, to deployments that are then up to date,
        instead of being lost. A delivery that is known already does nothing and gives what it gave. One push at a time.
        """
        async with self._lock:
            names = [*names]
            known = next((found for name in names if (found := self._known(name, push.delivery))), None)
            if known is not None:
                return known
            told = [deployment_id for deployment_id in deployments if await self._update(deployment_id, context)]
            for name in names:
                command = RecordPush(
                    subject_id=name,
                    origin=push.origin,
                    branch=push.branch,
                    commit=push.commit,
                    delivery=push.delivery,
                    deployments=tuple(told),
                )
                await self._commander.execute(command, context)
        return Delivery(id=push.delivery, branch=push.branch, commit=push.commit, deployments=tuple(told))

    def _known(self, name: str, delivery: str) -> Delivery | None:
        repository = self._views.repositories.get(name)
        return repository.delivery(delivery) if repository is not None and delivery else None

    async def _update(self, deployment_id: str, context: Context) -> bool:
        row = self._views.deployments.rows.get(deployment_id)
        if row is None:
            return False
        try:
            await self._commander.execute(UpdateDeployment(subject_id=deployment_id, spec=row.state.spec), context)
        except Unavailable:
            raise
        except PloinkyError:
            return False  # It is being removed.
        return True
