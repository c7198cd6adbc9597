"""Make the order of an attempt from what the journal holds, and payloads from what agents answer."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ploinky.control.pools import Pools
from ploinky.domain.errors import BlobNotFound
from ploinky.domain.payload import Payload, blob_payload, inline_payload
from ploinky.ports.clock import Ids
from ploinky.ports.courier import TaskOrder
from ploinky.ports.journal_store import JournalStore
from ploinky.ports.payloads import INLINE_LIMIT_BYTES, BlobStore
from ploinky.ports.secrets import Signer
from ploinky.views.tasks import TaskRow
from ploinky.views.views import Views

REMEMBERED_LIMIT_TASKS = 4_096
"""Open tasks whose content is kept in memory until it is sent; others are read from the journal."""
ATTEMPT_TOKEN = "attempt"  # noqa: S105 - the purpose of a token, not a token


class Orders:
    """Content of tasks on its way between the journal and the agents."""

    def __init__(
        self, views: Views, store: JournalStore, blobs: BlobStore, signer: Signer, ids: Ids, pools: Pools
    ) -> None:
        """Take what content is read from and written to."""
        self._views = views
        self._store = store
        self._blobs = blobs
        self._signer = signer
        self._ids = ids
        self._pools = pools
        self._remembered: OrderedDict[str, Mapping[str, Payload]] = OrderedDict()

    def remember(self, task_id: str, payloads: Mapping[str, Payload]) -> None:
        """Keep a just submitted task's content, so that sending it reads nothing."""
        self._remembered[task_id] = payloads
        if len(self._remembered) > REMEMBERED_LIMIT_TASKS:
            self._remembered.popitem(last=False)

    def forget(self, task_id: str) -> None:
        """Drop what was kept."""
        self._remembered.pop(task_id, None)

    async def payload(self, content: bytes) -> Payload:
        """Make a payload; a large one is durable as a blob before this returns. Raises `StorageFull`."""
        if len(content) <= INLINE_LIMIT_BYTES:
            return inline_payload(content, self._ids.salt())
        blob = await self._pools.slow(lambda: self._blobs.put(content))
        return blob_payload(content, self._ids.salt(), blob)

    async def content(self, payload: Payload) -> bytes:
        """Return a payload's bytes. Raises `BlobNotFound` when they are no longer kept."""
        if payload.content is not None:
            return payload.content
        blob = payload.blob
        if blob is None:
            raise BlobNotFound
        return await self._pools.slow(lambda: self._blobs.get(blob))

    async def stored(self, position: int, name: str) -> bytes | None:
        """Return the content of an event's payload, or None when it has none or it was deleted."""
        row = await self._pools.slow(lambda: self._store.payload(position, name))
        if row is None:
            return None
        if row.content is not None:
            return row.content
        blob = row.blob
        return await self._pools.slow(lambda: self._blobs.get(blob)) if blob else None

    async def order(self, task_id: str, row: TaskRow) -> TaskOrder:
        """Make the order of a task's present attempt. Raises `BlobNotFound` when its params are no longer kept."""
        payloads = self._remembered.get(task_id)
        params = await self._content(payloads, "params", row.submitted_position)
        metadata = await self._content(payloads, "metadata", row.submitted_position)
        state = row.state
        deployment = self._views.deployments.get(state.deployment_id)
        fields: dict[str, Any] = msgspec.json.decode(metadata, type=dict[str, Any])
        fields["deployment"] = {
            "id": state.deployment_id,
            "domain": deployment.domain if deployment else "",
            "path": deployment.path if deployment else "",
        }
        fields["deadline"] = _rfc3339(state.deadline_at)
        fields["token"] = self._signer.token(ATTEMPT_TOKEN, f"{task_id}.{state.attempt}")
        return TaskOrder(
            id=task_id, attempt=state.attempt, command=state.command, params=msgspec.Raw(params), metadata=fields
        )

    async def _content(self, payloads: Mapping[str, Payload] | None, name: str, position: int) -> bytes:
        if payloads is not None and (payload := payloads.get(name)) is not None:
            return await self.content(payload)
        content = await self.stored(position, name)
        if content is None:
            raise BlobNotFound(f"The task's {name} are no longer kept")
        return content


def _rfc3339(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None
