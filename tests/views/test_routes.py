"""Who answers where follows from what is wanted, at the moment it is committed."""

import pytest

from ploinky.domain import events as e
from tests.views.histories import PAYLOAD, RELEASE, History


def test_a_deployment_answers_from_its_request_on() -> None:
    """A route is owned, and found, before anything runs there."""
    history = History()
    assert history.views.routes.match("any.example", "/d1/x") is None
    history.deploy("d1")
    found = history.views.routes.match("any.example", "/d1/x")
    assert found is not None
    assert (found.deployment_id, found.rest) == ("d1", "/x")


@pytest.mark.parametrize("event", [e.DeploymentStopRequested(), e.RestartScheduled(due_at=History().now, failures=1)])
def test_a_stopped_deployment_keeps_its_route(event: e.Event) -> None:
    """A route stays with its deployment while that does not run."""
    history = History()
    history.deploy("d1")
    history.add("deployment/d1", event)
    assert history.views.find_deployment("*", "/d1") == "d1"


def test_a_route_is_free_from_the_removal_on() -> None:
    """Another deployment takes the route over at once, and keeps it when the first one is gone at last."""
    history = History()
    history.deploy("d1", "/same")
    history.add("deployment/d1", e.RemovalRequested())
    assert history.views.find_deployment("*", "/same") is None
    history.deploy("d2", "/same")
    assert history.views.find_deployment("*", "/same") == "d2"
    history.add("deployment/d1", e.DiscardRequested(), e.DeploymentRemoved())
    assert history.views.find_deployment("*", "/same") == "d2"
    assert list(history.views.deployments.rows) == ["d2"]


@pytest.mark.parametrize(
    ("domain", "path", "expected"),
    [
        ("*", "/d1", "d1"),
        ("*", "/d1/below", None),
        ("*", "/", None),
        ("a.example", "/d1", None),
        ("a.example", "/d2", "d2"),
        ("*.example", "/d3", "d3"),
        ("b.example", "/d3", None),
    ],
)
def test_finds_the_owner_of_exactly_one_route(domain: str, path: str, expected: str | None) -> None:
    """A deployment is found by its own route only, not by what it would answer as well."""
    history = History()
    history.deploy("d1")
    history.deploy("d2", domain="a.example")
    history.deploy("d3", domain="*.example")
    assert history.views.find_deployment(domain, path) == expected


def test_knows_where_the_environment_is() -> None:
    """The newest values given are found by position; an update without values leaves the earlier ones."""
    history = History()
    history.deploy("d1")
    assert history.views.environments.position("d1", 1) == 0
    spec = history.views.deployments.rows["d1"].state.spec
    position = history.add("deployment/d1", e.DeploymentUpdated(spec=spec, environment=PAYLOAD))
    history.add("deployment/d1", e.DeploymentUpdated(spec=spec), e.RolloutRequested(generation=2, reason="update"))
    assert history.views.environments.position("d1", 2) == position
    history.add("deployment/d1", e.RemovalRequested(), e.DiscardRequested())
    assert history.views.environments.position("d1", 2) == position
    history.add("deployment/d1", e.DeploymentRemoved())
    assert history.views.environments.position("d1", 1) == 0


def test_lists_the_instances_of_a_deployment() -> None:
    """Instances are listed oldest first until they are removed; orphans belong to nobody."""
    history = History()
    first = history.serve()
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="restart", release=RELEASE))
    second = history.roll_out("d1", 2)
    history.add("instance/d1.9.0", e.OrphanFound(runtime="memory", name="stray"))
    assert [key for key, _ in history.views.instances_of("d1")] == [first, second]
    assert [key for key, _ in history.views.instances_of("")] == ["d1.9.0"]
    history.stop(first)
    history.add(f"instance/{first}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    assert [key for key, _ in history.views.instances_of("d1")] == [second]
    assert history.views.instances.get(first) is None


def test_an_instance_that_comes_back_is_another_one() -> None:
    """What the engine shows under the name of a removed instance begins a row of its own."""
    history = History()
    instance = history.serve()
    history.stop(instance)
    history.add(f"instance/{instance}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    position = history.add(f"instance/{instance}", e.OrphanFound(runtime="memory", name="stray"))
    row = history.views.instances.rows[instance]
    assert (row.created_position, row.state.deployment_id, row.version) == (position, "", 7)


def test_shows_keys_repositories_and_settings() -> None:
    """The small aggregates are rows too: a removed repository is gone, a revoked key stays, a setting is its newest."""
    history = History()
    assert history.views.setting("taskTimeout") is None
    history.add("access/k1", e.KeyIssued(name="first", secret_sha256="ab", reason="init"), e.KeyRevoked())
    history.add("repository/agents", e.RepositoryAdded(url="file:///agents"), e.RepositoryRemoved())
    history.add("repository/others", e.RepositoryAdded(url="file:///others"))
    history.add("settings/main", e.SettingChanged(name="taskTimeout", value=1.0))
    history.add("settings/main", e.SettingChanged(name="taskTimeout", value=2.5))
    key = history.views.access.get("k1")
    assert key is not None
    assert key.is_revoked
    assert list(history.views.repositories.rows) == ["others"]
    assert history.views.setting("taskTimeout") == 2.5


def test_rows_know_since_when_and_by_whom() -> None:
    """A row tells where it began and where it last changed."""
    history = History()
    history.deploy("d1")
    created_at = history.now
    history.prepare("d1")
    row = history.views.deployments.rows["d1"]
    assert (row.created_position, row.created_at, row.created_by) == (1, created_at, "key:k1")
    assert (row.changed_position, row.changed_at, row.version) == (4, history.now, 4)
