"""An agent's `manifest.json`: what its author says about it, and how it is read.

The file comes from a repository and is not trusted: everything in it has a type and a bound.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest_forms import command_line, memory_bytes, refuse, variables
from ploinky.domain.manifest_health import Health, ProbeSection
from ploinky.domain.specs import RetryPolicy

MANIFEST_LIMIT_BYTES = 262_144
COMMANDS_LIMIT = 500
VARIABLES_LIMIT = 500
WARNINGS_LIMIT = 50

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
VariableName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
NetworkName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")]
DeviceName = Annotated[str, msgspec.Meta(pattern=r"^/dev/[A-Za-z0-9_/.-]{1,200}\Z")]
Place = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]*\Z")]
Words = tuple[str, ...]

RESERVED_VARIABLES = frozenset({"PLOINKY_AGENT", "PLOINKY_DOMAIN", "PLOINKY_PATH", "AGENT_DIR"})
# Fields of earlier generations and of plans: known, so no spelling mistakes, but nothing reads them.
WITHOUT_EFFECT = frozenset(
    {"update", "cli", "ports", "expose", "profiles", "defaultProfile", "schedule", "enable", "repos"}
)


_COMMAND_LINES = ("run", "start", "agent", "runTask", "preinstall", "install", "postinstall")
_COMMAND_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")
_CHOICES = {"network.mode": "default, bridge, none or host", "mode": "file, http or auto"}


class _Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Part of a manifest."""


class Resources(_Section, frozen=True):
    """What an instance may use."""

    memory: Annotated[int, msgspec.Meta(ge=4 << 20, le=1 << 40)] | None = None
    """In bytes, whatever the file's spelling."""
    cpus: Annotated[float, msgspec.Meta(ge=0.01, le=1_024)] | None = None
    pids: Annotated[int, msgspec.Meta(ge=1, le=65_536)] | None = None


class RuntimeSection(_Section, frozen=True):
    """What it runs in."""

    resources: Resources = Resources()


class Network(_Section, frozen=True):
    """What it reaches. Inbound traffic comes through us in any case."""

    mode: Literal["default", "bridge", "none", "host"] = "default"
    aliases: Annotated[tuple[NetworkName, ...], msgspec.Meta(max_length=16)] = ()
    """Its names for other instances of the deployment."""
    networks: Annotated[tuple[NetworkName, ...], msgspec.Meta(max_length=16)] = ()
    """The engine's networks that it joins besides."""


class ContainerSecurity(_Section, frozen=True):
    """What it asks for that an agent usually does not get."""

    privileged: bool = False
    devices: Annotated[tuple[DeviceName, ...], msgspec.Meta(max_length=32)] = ()


class Http(_Section, frozen=True):
    """The agent's own web server."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    health: Annotated[str, msgspec.Meta(pattern=r"^/[!-~]{0,500}\Z")] | None = None
    """The path that answers when it is ready."""


class Retries(_Section, frozen=True):
    """How often an attempt is repeated."""

    max: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    """For lost attempts and the handler's errors alike; None = the defaults of each."""
    backoff_seconds: Annotated[float, msgspec.Meta(ge=0, le=3_600)] | None = None


class Variable(_Section, frozen=True):
    """An environment variable the agent wants."""

    name: VariableName = msgspec.field(name="varName")
    is_required: bool = msgspec.field(name="required", default=False)
    default: Text | None = None


class Manifest(_Section, frozen=True):
    """What an agent's author says. Everything may be left out."""

    name: Name | None = None
    about: Text | None = None
    container: Name | None = None
    image: Name | None = None
    run: Words | None = None
    start: Words | None = None
    agent: Words | None = None
    preinstall: Words | None = None
    install: Words | None = None
    """Run at deploy time, each in a throwaway of the image that the agent runs in."""
    postinstall: Words | None = None
    commands: dict[str, Words] = {}
    run_task: Words | None = None
    env: Annotated[tuple[Variable, ...], msgspec.Meta(max_length=VARIABLES_LIMIT)] = ()
    access: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9:._*/-]{0,127}\Z")] | None = None
    mode: Literal["file", "http", "auto"] = "auto"
    """`file` beside `http`: the agent takes tasks from its queue as well."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    retries: Retries = Retries()
    runtime: RuntimeSection = RuntimeSection()
    network: Network = Network()
    container_security: ContainerSecurity = ContainerSecurity()
    volumes: Annotated[dict[Place, Place], msgspec.Meta(max_length=32)] = {}
    """Where each folder of the deployment's data, or of the machine, is seen inside."""
    http: Http | None = None
    health: Health = Health()
    warm_instances: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    """How many more than serve are kept frozen for when there is work for them."""
    idle_timeout_seconds: Annotated[float, msgspec.Meta(ge=1, le=31_536_000)] | None = None
    """Without a request for so long it is stopped until the next one."""
    module: Name | None = None
    warnings: tuple[str, ...] = ()
    """What the file says that nothing reads. Not a field of the file."""

    @property
    def image_reference(self) -> str | None:
        """The image under either of its two names."""
        return self.container or self.image

    @property
    def start_command(self) -> Words | None:
        """What to run instead of the task runner, under any of its three names."""
        return self.run or self.start or self.agent

    @property
    def retry_policy(self) -> RetryPolicy:
        """The defaults, with what the author changed: one `max` stands for both kinds of failure."""
        default = RetryPolicy()
        backoff = self.retries.backoff_seconds
        return RetryPolicy(
            lost=default.lost if self.retries.max is None else self.retries.max,
            failed=default.failed if self.retries.max is None else self.retries.max,
            backoff_seconds=default.backoff_seconds if backoff is None else backoff,
        )


def parse_manifest(content: bytes | None) -> Manifest:
    """Read a manifest; an absent one is an empty one. Raises `ManifestInvalid` saying where."""
    if content is None:
        return Manifest()
    repeated: list[str] = []
    document = _document(content, repeated)
    warnings = (*repeated, *_warnings(document))[:WARNINGS_LIMIT]
    plain = _plain(document)
    try:
        manifest = msgspec.convert({**plain, "warnings": warnings}, Manifest)
    except msgspec.ValidationError as error:
        _refuse_conversion(error, plain)
    for index, variable in enumerate(manifest.env):
        if variable.name in RESERVED_VARIABLES:
            refuse(f"env[{index}].varName", variable.name, "a name that is not reserved")
    return manifest


def _document(content: bytes, repeated: list[str]) -> dict[str, Any]:
    if len(content) > MANIFEST_LIMIT_BYTES:
        raise ManifestInvalid(f"manifest.json has more than {MANIFEST_LIMIT_BYTES} bytes")

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        collected = dict(pairs)
        if len(collected) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in collected if names.count(name) > 1)
            repeated.append(f"manifest.json: `{twice[:100]}` is there twice; the last one counts")
        return collected

    try:
        document = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        hint = "JSON has no comments and no comma after the last entry."
        raise ManifestInvalid(
            f"manifest.json is not JSON: {error.msg} at {where}", hint=hint, line=error.lineno, column=error.colno
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"manifest.json is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"manifest.json cannot be read: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise ManifestInvalid(
            "manifest.json holds no object at line 1, column 1", hint="It begins with { and ends with }."
        )
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    """Name unknown fields, at any depth that has names, and known ones that nothing reads."""
    for path, names, known in _sections(document):
        for name in names:
            shown = f"{path}{name[:100]}"
            if not path and name in WITHOUT_EFFECT:
                yield f"manifest.json: `{shown}` has no effect in this version"
            elif name not in known:
                yield f"manifest.json: `{shown}` is unknown"


def _sections(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str], frozenset[str]]]:
    runtime = document.get("runtime")
    resources = runtime.get("resources") if isinstance(runtime, dict) else None
    health = document.get("health")
    probes = health if isinstance(health, dict) else {}
    sections: tuple[tuple[str, Any, type[msgspec.Struct]], ...] = (
        ("", document, Manifest),
        ("runtime.", runtime, RuntimeSection),
        ("runtime.resources.", resources, Resources),
        ("network.", document.get("network"), Network),
        ("containerSecurity.", document.get("containerSecurity"), ContainerSecurity),
        ("http.", document.get("http"), Http),
        ("retries.", document.get("retries"), Retries),
        ("health.", health, Health),
        *((f"health.{name}.", probe, ProbeSection) for name, probe in probes.items()),
    )
    for path, section, kind in sections:
        if isinstance(section, dict):
            yield path, list(section), frozenset(kind.__struct_encode_fields__) - {"warnings"}


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Replace each field that has several spellings by its one form; null is the same as left out."""
    plain: dict[str, Any] = _without_nulls({**document, "env": None})
    if document.get("env") is not None:
        plain["env"] = document["env"]  # in an object of variables, null is one without a default
    forms: dict[str, Callable[[str, Any], Any]] = dict.fromkeys(_COMMAND_LINES, command_line)
    forms["env"] = variables
    for name, form in forms.items():
        if name in plain:
            plain[name] = form(name, plain[name])
    health = plain.get("health")
    if isinstance(health, dict):
        plain["health"] = {name: _probe(f"health.{name}", probe) for name, probe in health.items()}
    commands = plain.get("commands")
    if isinstance(commands, dict):
        plain["commands"] = _commands(commands)
    runtime = plain.get("runtime")
    resources = runtime.get("resources") if isinstance(runtime, dict) else None
    if isinstance(resources, dict) and "memory" in resources:
        memory = memory_bytes("runtime.resources.memory", resources["memory"])
        plain["runtime"] = {"resources": {**resources, "memory": memory}}
    return plain


def _probe(path: str, probe: Any) -> Any:
    if isinstance(probe, dict) and "script" in probe:
        return {**probe, "script": command_line(f"{path}.script", probe["script"])}
    return probe


def _commands(commands: dict[str, Any]) -> dict[str, list[str]]:
    if len(commands) > COMMANDS_LIMIT:
        refuse("commands", f"{len(commands)} entries", f"at most {COMMANDS_LIMIT}")
    for name in commands:
        if not _COMMAND_NAME.fullmatch(name):
            refuse("commands", name, "names of at most 100 letters, digits and _ . : -")
    return {name: command_line(f"commands.{name}", line) for name, line in commands.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


def _refuse_conversion(error: msgspec.ValidationError, plain: Mapping[str, Any]) -> NoReturn:
    """Say where and what, from msgspec's "Expected `int` >= 1 - at `$.concurrency`"."""
    said, _, place = str(error).partition(" - at ")
    place = place.removeprefix("key in ").strip("`").removeprefix("$").removeprefix(".")
    value: Any = plain
    for step in re.findall(r"[^.\[\]]+", place):
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
    refuse(place, value, _CHOICES.get(place) or said.removeprefix("Expected ")[:200])
