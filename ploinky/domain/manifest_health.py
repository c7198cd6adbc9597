"""The part of a manifest that says how it is found out whether an instance works."""

from typing import Annotated

import msgspec

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.specs import Probe, ProbeKind

READINESS_INTERVAL_SECONDS = 0.5
LIVENESS_INTERVAL_SECONDS = 10.0
TIMEOUT_SECONDS = 3.0

Path = Annotated[str, msgspec.Meta(pattern=r"^/[!-~]{0,500}\Z")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.05, le=3_600)]
Threshold = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class ProbeSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One question: exactly one of `script`, `http` and `tcp`."""

    script: tuple[str, ...] | None = None
    """A command line, run inside the instance; 0 means well."""
    http: Path | None = None
    """A path; 2xx or 3xx means well."""
    tcp: Port | None = None
    """A port; a connection that is kept means well."""
    port: Port | None = None
    """For `http`, where it is not the agent's own web server's."""
    interval: Seconds | None = None
    timeout: Seconds | None = None
    failure_threshold: Threshold = 3
    success_threshold: Threshold = 1


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """When it may serve, and whether it still can."""

    readiness: ProbeSection | None = None
    liveness: ProbeSection | None = None


def probe_of(name: str, section: ProbeSection | None, http_port: int | None, interval_seconds: float) -> Probe | None:
    """Return the probe that a section describes. Raises `ManifestInvalid` when it asks for nothing, or for two things.

    `interval_seconds` counts where the section does not say.
    """
    if section is None:
        return None
    asked = [kind for kind in ProbeKind if getattr(section, kind) is not None]
    if len(asked) != 1:
        raise ManifestInvalid(
            f"manifest.json: `health.{name}` needs exactly one of `script`, `http` and `tcp`",
            hint='For example {"script": "test -e /tmp/up"} or {"http": "/health"}.',
        )
    port = section.tcp or section.port or http_port or 0
    if asked[0] is ProbeKind.HTTP and not port:
        raise ManifestInvalid(
            f"manifest.json: `health.{name}.http` has no port", hint="Give `port` beside it, or `http.port`."
        )
    return Probe(
        kind=asked[0],
        port=port if asked[0] is not ProbeKind.SCRIPT else 0,
        path=section.http or "/",
        command=section.script or (),
        interval_seconds=section.interval or interval_seconds,
        timeout_seconds=section.timeout or TIMEOUT_SECONDS,
        failure_threshold=section.failure_threshold,
        success_threshold=section.success_threshold,
    )
