"""What the operator configures reaches those who decide by it."""

from ploinky.domain.allowances import Allowed
from ploinky.server.config import Configuration
from ploinky.server.world import allowed_by


def test_nothing_is_allowed_by_default() -> None:
    """An operator who says nothing allows nothing."""
    assert allowed_by(Configuration(data_directory="/d")) == Allowed()


def test_each_list_allows_its_own_kind() -> None:
    """No list stands for another."""
    configuration = Configuration(
        data_directory="/d",
        allowed_mounts=("/srv",),
        allowed_devices=("/dev/kvm",),
        allowed_networks=("host",),
        allowed_privileged=("vip",),
    )
    assert allowed_by(configuration) == Allowed(("/srv",), ("/dev/kvm",), ("host",), ("vip",))
