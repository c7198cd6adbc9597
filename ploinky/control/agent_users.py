"""Which user of this machine an agent runs as."""

import zlib

from ploinky.ports.runtime import Runtime

FIRST_AGENT_USER_ID = 200_000
AGENT_USER_IDS = 100_000


def agent_user_id(runtime: Runtime, deployment_id: str) -> int | None:
    """Return a user of the deployment's own where the runtime allows it; None = the server's own. Blocks."""
    if not runtime.has_own_users():
        return None
    return FIRST_AGENT_USER_ID + zlib.crc32(deployment_id.encode()) % AGENT_USER_IDS
