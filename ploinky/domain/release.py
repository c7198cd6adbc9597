"""Join what the deployer asked for with what the agent's manifest says."""

from typing import NamedTuple

from ploinky.domain.allowances import Allowed, grants_of
from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import Manifest
from ploinky.domain.manifest_health import LIVENESS_INTERVAL_SECONDS, READINESS_INTERVAL_SECONDS, probe_of
from ploinky.domain.specs import DeploymentSpec, Release

DEFAULT_CONCURRENCY = 4
DOCKERFILE = "Dockerfile"
DOCKERFILE_NAMES = frozenset({DOCKERFILE, f"./{DOCKERFILE}"})
"""By which a manifest's `image` asks for its own to be built."""
DEFAULT_ACCESS = "authenticated"


class ReleaseDefaults(NamedTuple):
    """What the operator's configuration says where neither deployer nor manifest does."""

    time_limit_seconds: float
    start_limit_seconds: float
    revert_window_seconds: float = 0.0
    allowed: Allowed = Allowed()
    """What agents may have beyond their container."""


def release_of(
    spec: DeploymentSpec,
    manifest: Manifest,
    commit: str,
    defaults: ReleaseDefaults,
    warnings: tuple[str, ...] = (),
    *,
    has_dockerfile: bool = False,
) -> Release:
    """Return the release of a commit. The spec wins over the manifest, the manifest over the defaults.

    `warnings` are what is to be said of its source.
    """
    dockerfile = _dockerfile(spec, manifest, has_dockerfile=has_dockerfile)
    image = "" if dockerfile else spec.image or manifest.image_reference or ""
    resources = manifest.runtime.resources
    limits = Release(commit=commit)
    http, health = manifest.http, manifest.health
    http_port = http.port if http else None
    return Release(
        commit=commit,
        image=image,
        dockerfile=dockerfile,
        access=spec.access or manifest.access or DEFAULT_ACCESS,
        concurrency=spec.concurrency or manifest.concurrency or DEFAULT_CONCURRENCY,
        time_limit_seconds=spec.time_limit_seconds or manifest.timeout_seconds or defaults.time_limit_seconds,
        start_limit_seconds=defaults.start_limit_seconds,
        retries=manifest.retry_policy,
        memory_bytes=resources.memory or limits.memory_bytes,
        cpus=resources.cpus or limits.cpus,
        pids=resources.pids or limits.pids,
        has_network=manifest.network.mode != "none",
        command=_web_command(manifest, has_image=bool(dockerfile or image))
        if http
        else tuple(manifest.start_command or limits.command),
        http_port=http_port,
        http_health_path=http.health if http else None,
        grants=grants_of(spec.agent, manifest, defaults.allowed),
        readiness=probe_of("readiness", health.readiness, http_port, READINESS_INTERVAL_SECONDS),
        liveness=probe_of("liveness", health.liveness, http_port, LIVENESS_INTERVAL_SECONDS),
        idle_timeout_seconds=manifest.idle_timeout_seconds or 0.0,
        warm_instances=manifest.warm_instances,
        revert_window_seconds=defaults.revert_window_seconds,
        takes_tasks=http is None or manifest.mode == "file",
        warnings=(*warnings, *manifest.warnings),
    )


def _dockerfile(spec: DeploymentSpec, manifest: Manifest, *, has_dockerfile: bool) -> str:
    """Return what the image is built from: a Dockerfile counts unless somebody names an image."""
    named = manifest.image_reference
    if spec.image or (named and named not in DOCKERFILE_NAMES):
        return ""
    if named and not has_dockerfile:
        raise ManifestInvalid("manifest.json names a Dockerfile, but the agent's folder has none")
    return DOCKERFILE if has_dockerfile else ""


def _web_command(manifest: Manifest, *, has_image: bool) -> tuple[str, ...]:
    """Return what starts a web server; empty = what its image starts. Raises `ManifestInvalid` for one without use."""
    if manifest.network.mode == "none":
        raise ManifestInvalid(
            "manifest.json: `http` needs a network, and `network.mode` is none",
            hint="Leave `network.mode` out: nobody but this server is led to the agent's port.",
        )
    if not manifest.start_command and not has_image:
        raise ManifestInvalid(
            "manifest.json: `http` is there, but nothing says what starts the web server",
            hint="Put its command line into `run`, or name an image that starts it.",
        )
    return tuple(manifest.start_command or ())


def environment_of(manifest: Manifest, given: dict[str, str]) -> dict[str, str]:
    """Join the manifest's defaults with the values given. Raises `ManifestInvalid` when a required one is missing."""
    defaults = {variable.name: variable.default for variable in manifest.env if variable.default is not None}
    missing = [
        variable.name
        for variable in manifest.env
        if variable.is_required and variable.default is None and variable.name not in given
    ]
    if missing:
        raise ManifestInvalid(
            f"The agent needs {', '.join(missing)} in its environment",
            hint=f"Deploy it with --env {missing[0]}=...",
            missing=missing,
        )
    return {**defaults, **given}
