"""What an agent gets beyond the usual container."""

import msgspec


class Volume(msgspec.Struct, frozen=True, omit_defaults=True):
    """A folder that outlives the generations."""

    source: str
    """The name of a folder among the deployment's data; beginning with `/`, a path of the machine."""
    target: str


class Grants(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent gets besides the usual; all of it was allowed."""

    volumes: tuple[Volume, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    """The engine's networks that it joins besides its own."""
    aliases: tuple[str, ...] = ()
    """Its names in its deployment's own network."""
    is_privileged: bool = False
    is_on_host_network: bool = False


NOTHING = Grants()
