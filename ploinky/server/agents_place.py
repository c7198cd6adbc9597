"""A place outside the data directory for what agents with users of their own have to reach.

The data directory is closed to everybody but the server's user, and so may be the folders above it. A container and a
sandbox get an agent's folders mounted; a plain process has to walk to them. So where root runs agents without a
sandbox, their folders lie in a place that everybody may pass through and nobody may list, each closed to all but its
own agent.
"""

import os
from hashlib import sha256
from pathlib import Path

from ploinky.adapters.process_runtime_confinement import find_confinement
from ploinky.server.queue_place import private_place

PLACE_ROOTS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - what is made there is checked
PLACE_NAME = "ploinky-agents"
DIGEST_CHARACTERS = 8


def agents_place(data_directory: Path, *, has_processes: bool, roots: tuple[Path, ...] = PLACE_ROOTS) -> Path:
    """Return where agents' folders lie, always the same for a data directory: there, or in a place outside.

    `has_processes`: whether agents may be started as processes. Where no place outside can be made it is the data
    directory too, and the process runtime says of each agent what it cannot reach.
    """
    if os.geteuid() != 0 or not has_processes or find_confinement().bubblewrap is not None:
        return data_directory
    name = sha256(os.fsencode(os.path.realpath(data_directory))).hexdigest()[:DIGEST_CHARACTERS]
    places = (private_place(root, PLACE_NAME, name) for root in roots)
    return next((place for place in places if place is not None), data_directory)
