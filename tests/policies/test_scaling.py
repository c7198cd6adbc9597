"""How many instances serve, and which of them go."""

from ploinky.domain import commands as c
from ploinky.domain.instance import Status
from tests.journal import sample_commands as sample
from tests.policies.world import World


def scaled(replicas: int) -> World:
    """Return a world at rest with so many instances of the first generation."""
    world = World(1)
    world.run(sample.deploy("d1"), c.ScaleDeployment(subject_id="d1", replicas=replicas))
    world.come_to_rest()
    return world


def awake(world: World) -> list[str]:
    return [key for key, instance in world.views.instances_of("d1") if instance.status is Status.RUNNING]


def test_adds_to_what_serves_and_takes_the_newest_away() -> None:
    """Scaling keeps the generation and touches no more instances than it has to."""
    world = scaled(1)
    world.run(c.ScaleDeployment(subject_id="d1", replicas=3))
    world.come_to_rest()
    assert {key.rpartition(".")[0] for key in awake(world)} == {"d1.1"}
    assert len(awake(world)) == 3
    world.run(c.ScaleDeployment(subject_id="d1", replicas=1))
    world.come_to_rest()
    assert awake(world) == ["d1.1.0"]


def test_nobody_goes_in_place_of_what_has_ended() -> None:
    """Scaled down by one just when one had ended, the others all stay and none is replaced."""
    world = scaled(3)
    ended, *others = awake(world)
    # In one commit: the look after it sees both at once.
    world.give(c.RecordStopped(subject_id=ended, reason="exited"))
    world.give(c.ScaleDeployment(subject_id="d1", replicas=2))
    world.settle()
    world.come_to_rest()
    assert awake(world) == others
