"""Join what the deployer asked for with what the agent's manifest says."""

from typing import NamedTuple

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import Manifest
from ploinky.domain.specs import DeploymentSpec, Release

DEFAULT_CONCURRENCY = 4
DEFAULT_ACCESS = "authenticated"


class ReleaseDefaults(NamedTuple):
    """What the operator's configuration says where neither deployer nor manifest does."""

    time_limit_seconds: float
    start_limit_seconds: float


def release_of(
    spec: DeploymentSpec, manifest: Manifest, commit: str, defaults: ReleaseDefaults, warnings: tuple[str, ...] = ()
) -> Release:
    """Return the release of a commit. The spec wins over the manifest, the manifest over the defaults.

    `warnings` are what is to be said of its source.
    """
    resources = manifest.runtime.resources
    limits = Release(commit=commit)
    return Release(
        commit=commit,
        image=spec.image or manifest.image_reference or "",
        access=spec.access or manifest.access or DEFAULT_ACCESS,
        concurrency=spec.concurrency or manifest.concurrency or DEFAULT_CONCURRENCY,
        time_limit_seconds=spec.time_limit_seconds or manifest.timeout_seconds or defaults.time_limit_seconds,
        start_limit_seconds=defaults.start_limit_seconds,
        retries=manifest.retry_policy,
        memory_bytes=resources.memory or limits.memory_bytes,
        cpus=resources.cpus or limits.cpus,
        pids=resources.pids or limits.pids,
        has_network=manifest.network.mode != "none",
        command=tuple(manifest.start_command or limits.command),
        warnings=(*warnings, *manifest.warnings),
    )


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
