"""Make, replace and revoke admin keys."""

import secrets
from typing import NamedTuple

from ploinky.control.commander import Commander
from ploinky.domain.access import key_text, parse_key, secret_digest
from ploinky.domain.commands import IssueKey, RevokeKey
from ploinky.domain.errors import Denied
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Clock
from ploinky.ports.secrets import Signer
from ploinky.views.views import Views

RECOVERY = "recovery"
RECOVERY_LIMIT_SECONDS = 60
"""How old a proof of being on this machine may be."""
KEY_RANDOM_BYTES = 64


class NewKey(NamedTuple):
    """A key as shown once."""

    key_id: str
    text: str


class Keys:
    """Admin keys, for people."""

    def __init__(self, views: Views, commander: Commander, signer: Signer, clock: Clock) -> None:
        """Take the machinery."""
        self._views = views
        self._commander = commander
        self._signer = signer
        self._clock = clock

    async def initialise(self, context: Context) -> NewKey:
        """Make the first key. Raises `AlreadyInitialised` ever after."""
        return await self._issue("admin", "init", context)

    async def recover(self, issued_at: int, proof: str, context: Context) -> NewKey:
        """Replace all admin keys by a new one, for somebody who can read this installation's key files.

        `proof` is the signer's token for the purpose `recovery` and the subject `issued_at`, in seconds since 1970.
        Raises `Denied` when it is wrong or older than a minute.
        """
        age = abs(self._clock.now().timestamp() - issued_at)
        if age > RECOVERY_LIMIT_SECONDS or not self._signer.is_valid(RECOVERY, str(issued_at), proof):
            raise Denied("The proof of being on this machine is not valid", hint="Run `ploinky keys recover` there.")
        return await self.replace_all(context)

    async def replace_all(self, context: Context) -> NewKey:
        """Make a new key and revoke all others."""
        old = [key_id for key_id, row in self._views.access.items() if not row.state.is_revoked]
        key = await self._issue("admin", RECOVERY, context)
        for key_id in old:
            await self.revoke(key_id, context)
        return key

    async def revoke(self, key_id: str, context: Context) -> None:
        """Revoke a key. Idempotent; raises `KeyNotFound`."""
        await self._commander.execute(RevokeKey(subject_id=key_id), context, is_urgent=True)

    async def _issue(self, name: str, reason: str, context: Context) -> NewKey:
        key_id, text = key_text(secrets.token_bytes(KEY_RANDOM_BYTES))
        parsed = parse_key(text)
        digest = secret_digest(parsed[1] if parsed else "")
        await self._commander.execute(
            IssueKey(subject_id=key_id, name=name, secret_sha256=digest, reason=reason), context
        )
        return NewKey(key_id, text)
