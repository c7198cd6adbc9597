"""What an agent asks for beyond its container is refused unless the operator allows it by name."""

from typing import Any

import pytest

from ploinky.domain.allowances import Allowed, grants_of
from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.grants import Grants, Volume
from ploinky.domain.manifest import Manifest
from tests.domain.test_manifest import parsed

ALL = Allowed(mounts=("/srv/media",), devices=("/dev/dri",), networks=("db", "host"), privileged=("vip",))


def test_is_nothing_for_who_asks_for_nothing() -> None:
    """The usual agent has no more than its container."""
    assert grants_of("a", Manifest(), Allowed()) == Grants()


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"containerSecurity": {"privileged": True}}, "allowedPrivileged"),
        ({"containerSecurity": {"devices": ["/dev/kvm"]}}, "allowedDevices"),
        ({"network": {"mode": "host"}}, "allowedNetworks"),
        ({"network": {"networks": ["db"]}}, "allowedNetworks"),
        ({"volumes": {"/var/run/docker.sock": "/run/docker.sock"}}, "allowedMounts"),
        ({"volumes": {"/srv/media2": "/media"}}, "allowedMounts"),
        ({"volumes": {"/srv/media/../../etc": "/media"}}, "allowedMounts"),
        ({"volumes": {"/": "/media"}}, "allowedMounts"),
    ],
)
def test_is_refused_with_the_key_that_would_allow_it(fields: dict[str, Any], key: str) -> None:
    """The reason names what was asked for, the hint where an operator allows it."""
    allowed = ALL if "volumes" in fields else Allowed()
    with pytest.raises(ManifestInvalid, match="does not allow") as refused:
        grants_of("a", parsed(**fields), allowed)
    assert key in refused.value.advice


def test_is_what_the_operator_allows_by_name() -> None:
    """Everything that is named is granted, mounts with all that is below them."""
    manifest = parsed(
        containerSecurity={"privileged": True, "devices": ["/dev/dri"]},
        network={"mode": "host", "networks": ["db"], "aliases": ["web"]},
        volumes={"/srv/media": "/media", "/srv/media/music": "/music/", "cache": "/var/cache/x"},
    )
    assert grants_of("vip", manifest, ALL) == Grants(
        volumes=(Volume("/srv/media", "/media"), Volume("/srv/media/music", "/music"), Volume("cache", "/var/cache/x")),
        devices=("/dev/dri",),
        networks=("db",),
        aliases=("web",),
        is_privileged=True,
        is_on_host_network=True,
    )
    with pytest.raises(ManifestInvalid, match="agent other"):
        grants_of("other", manifest, ALL)


@pytest.mark.parametrize("source", ["../x", "a/b", ".", "..", "~", "a b", "x" * 65])
def test_is_no_folder_outside_the_deployments_data(source: str) -> None:
    """A folder of its own has a plain name, so that no agent can put a link in another's way."""
    with pytest.raises(ManifestInvalid, match="no folder's name"):
        grants_of("a", parsed(volumes={source: "/x"}), ALL)


@pytest.mark.parametrize(
    "target", ["x", "/", "/agent", "/agent/.ploinky/queue", "/agentCore/x", "/proc", "/sys/fs", "/dev", "/x/../agent"]
)
def test_is_not_put_over_what_is_ours(target: str) -> None:
    """The code, the runner, the queue and the kernel's folders stay what they are."""
    with pytest.raises(ManifestInvalid, match="cannot put"):
        grants_of("a", parsed(volumes={"cache": target}), ALL)


@pytest.mark.parametrize(
    "fields",
    [
        {"containerSecurity": {"devices": ["sda"]}},
        {"containerSecurity": {"privileged": "yes"}},
        {"network": {"aliases": ["a b"]}},
        {"volumes": {"a\n": "/x"}},
        {"volumes": ["cache"]},
    ],
)
def test_is_read_strictly(fields: dict[str, Any]) -> None:
    """What has not its form is no manifest."""
    with pytest.raises(ManifestInvalid):
        parsed(**fields)
