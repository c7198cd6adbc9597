"""What people may ask of a deployment: names, bounds, combinations."""

import re
from collections.abc import Mapping

import msgspec

from ploinky.domain.errors import Invalid, SourceInvalid
from ploinky.domain.payload import Payload, inline_payload
from ploinky.domain.source_urls import Location
from ploinky.domain.specs import DeploymentSpec
from ploinky.ports.clock import Ids
from ploinky.usecases.admission import locate

AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
RESERVED_VARIABLES = re.compile(r"PLOINKY_.*|AGENT_DIR")
ENVIRONMENT_LIMIT_BYTES = 32 * 1024
CONCURRENCY_LIMIT = 1_000
REPLICAS_LIMIT = 64
"""Instances of one deployment side by side."""
SUBFOLDER = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[^/\x00-\x1f]{1,200}(?:/[^/\x00-\x1f]{1,200}){0,20}")


def check_spec(spec: DeploymentSpec) -> None:
    """Refuse what no deployment can be. Raises `Invalid`."""
    if not AGENT_NAME.fullmatch(spec.agent):
        raise Invalid(f"{spec.agent!r} is not an agent's name", hint="Letters, digits, dots, dashes, underscores.")
    if spec.concurrency is not None and not 1 <= spec.concurrency <= CONCURRENCY_LIMIT:
        raise Invalid(f"concurrency must be between 1 and {CONCURRENCY_LIMIT}, not {spec.concurrency}")
    if spec.branch is not None and spec.revision is not None:
        raise Invalid("A deployment follows a branch or stays at a revision, not both")
    if spec.subfolder and not SUBFOLDER.fullmatch(spec.subfolder):
        raise Invalid(f"{spec.subfolder!r} is no folder of a repository", hint="Like `services/agents`.")
    check_replicas(spec.replicas)


def check_replicas(replicas: int) -> None:
    """Refuse a number of instances out of bounds. Raises `Invalid`."""
    if not 1 <= replicas <= REPLICAS_LIMIT:
        raise Invalid(
            f"replicas must be between 1 and {REPLICAS_LIMIT}, not {replicas}",
            hint="`ploinky stop` lets nothing run and keeps the route.",
        )


def check_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables that an agent can be given. Raises `Invalid`."""
    for name, value in variables.items():
        if "\0" in value:
            raise Invalid(f"The value of {name} holds a null character, which no variable can")
        if not VARIABLE_NAME.fullmatch(name):
            raise Invalid(f"{name!r} cannot be the name of a variable")
        if RESERVED_VARIABLES.fullmatch(name):
            raise Invalid(f"{name} is reserved", hint="Names beginning with PLOINKY_ and AGENT_DIR are set by Ploinky.")
    return dict(variables)


def environment_payload(variables: Mapping[str, str], ids: Ids) -> Payload:
    """Return variables as the journal keeps them, outside of every event. Raises `Invalid`."""
    content = msgspec.json.encode(check_variables(variables), order="sorted")
    if len(content) > ENVIRONMENT_LIMIT_BYTES:
        raise Invalid(f"The environment is larger than {ENVIRONMENT_LIMIT_BYTES} bytes")
    return inline_payload(content, ids.salt())


def locate_source(repository: str, actor: str, *, allow_local: bool) -> Location:
    """Read where a repository is, as a deployer wrote it. Raises `Invalid`, `SourceInvalid` or `Denied`."""
    try:
        return locate(repository, actor, allow_local=allow_local)
    except SourceInvalid as error:
        if ":" in repository or "/" in repository:
            raise
        hint = "Use https://, ssh://, file:// or an absolute path, or a name from `ploinky repo list`."
        raise Invalid(f"{repository!r} is neither a git URL nor a known repository", hint=hint) from error
