"""Each deployment's containers have a network of their own."""

import secrets
import socket
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.adapters.docker_runtime_networks import Networks
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL, InstanceSpec
from tests.adapters.runtime.fake_engine import FakeEngine
from tests.contracts.runtime_harness import Bench, Says

PORT = 8080
LISTENS = f"""
import socket
server = socket.create_server(("0.0.0.0", {PORT}))
print("up", flush=True)
while True: server.accept()[0].sendall(b"hello")
"""
CONNECTS = """
import socket
try:
    print(socket.create_connection((%r, %d), 1).recv(5).decode())
except OSError as error:
    print("unreachable")
"""
DEPLOYMENTS_AT_ONCE = 60


@pytest.fixture
def bench(engine_bench: Bench) -> Bench:
    return engine_bench


def library(bench: Bench) -> Any:
    return bench.runtime._connections.client()  # type: ignore[attr-defined]  # the engine's own client


def networks_of(bench: Bench) -> list[str]:
    found = library(bench).networks(filters={"label": f"{LABEL_JOURNAL}={bench.journal_id}"})
    return sorted(network["Name"] for network in found)


def address_of(bench: Bench, name: str) -> str:
    (network,) = library(bench).inspect_container(name)["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def test_is_made_once_and_shared_by_all_instances_of_a_deployment(bench: Bench) -> None:
    """The first instance makes it, the second finds it and reaches the first, and so does this machine."""
    network = bench.name("net")
    first = bench.run_until_it_speaks("first", Says(LISTENS), has_network=True, network=network)
    address = address_of(bench, first)
    inside = bench.output_of("second", CONNECTS % (address, PORT), has_network=True, network=network)
    assert inside.strip() == "hello"
    with socket.create_connection((address, PORT), 5) as connection:
        assert connection.recv(5) == b"hello"
    assert networks_of(bench) == [network]


def test_is_closed_to_other_deployments(bench: Bench) -> None:
    """An agent of another deployment does not get through."""
    first = bench.run_until_it_speaks("first", Says(LISTENS), has_network=True, network=bench.name("one"))
    source = CONNECTS % (address_of(bench, first), PORT)
    assert bench.output_of("other", source, has_network=True, network=bench.name("two")).strip() == "unreachable"


def test_leads_outside(bench: Bench) -> None:
    """There is an interface and a way out of it."""
    source = "print(sum(line.split()[1] == '00000000' for line in open('/proc/net/route').readlines()[1:]))"
    assert bench.output_of("out", source, has_network=True, network=bench.name("net")).strip() == "1"


def test_is_not_made_for_an_agent_without_network(bench: Bench) -> None:
    """What is cut off needs no network."""
    source = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert bench.output_of("alone", source, has_network=False, network=bench.name("net")).strip() == "['lo']"
    assert networks_of(bench) == []


def test_goes_when_no_deployment_has_it(bench: Bench) -> None:
    """Only this journal's networks go, only those not named, and one in use stays until it is not."""
    used, idle, kept = (bench.name(word) for word in ("used", "idle", "kept"))
    other = Bench(bench.runtime, bench.folder, secrets.token_hex(6), bench.image)
    try:
        name = bench.run("runs", Says("import time; time.sleep(60)"), has_network=True, network=used)
        for owner, network in ((bench, idle), (bench, kept), (other, other.name("foreign"))):
            owner.runtime.remove(owner.create(network[-4:], Says(""), has_network=True, network=network))
        bench.runtime.keep_networks(bench.journal_id, [kept])
        assert networks_of(bench) == sorted([used, kept])
        bench.runtime.remove(name)
        bench.runtime.keep_networks(bench.journal_id, [kept])
        bench.runtime.keep_networks(bench.journal_id, [kept])
        assert networks_of(bench) == [kept]
        assert networks_of(other) == [other.name("foreign")]
    finally:
        bench.runtime.keep_networks(other.journal_id, ())


def test_of_somebody_else_is_not_taken(bench: Bench) -> None:
    """A network of that name without our label is refused, and left alone."""
    name = bench.name("net")
    library(bench).create_network(name)
    try:
        with pytest.raises(RuntimeRefused, match="not ours"):
            bench.create("agent", Says(""), has_network=True, network=name)
    finally:
        library(bench).remove_network(name)


@pytest.mark.slow
def test_is_there_for_sixty_deployments_at_once(bench: Bench) -> None:
    """More than the engines' own pools hold, each with addresses of its own."""
    names = [bench.name(f"net{number}") for number in range(DEPLOYMENTS_AT_ONCE)]
    for number, name in enumerate(names):
        bench.create(f"agent{number}", Says(""), has_network=True, network=name)
    found = library(bench).networks(filters={"label": f"{LABEL_JOURNAL}={bench.journal_id}"})
    subnets = [IPv4Network(network["IPAM"]["Config"][0]["Subnet"]) for network in found]
    assert len(set(subnets)) == DEPLOYMENTS_AT_ONCE
    assert all(subnet.subnet_of(IPv4Network("10.210.0.0/16")) for subnet in subnets)


class TestAnswers:
    """What an engine may say when it is asked for a network."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[FakeEngine]:
        engine = FakeEngine(tmp_path / "engine.sock")
        engine.on("GET /networks", (200, []))
        yield engine
        engine.close()

    @pytest.fixture
    def runtime(self, engine: FakeEngine) -> Iterator[DockerRuntime]:
        runtime = DockerRuntime(engine.base_url, timeout_seconds=2)
        yield runtime
        runtime.close()

    @pytest.fixture
    def networks(self, runtime: DockerRuntime) -> Networks:
        return runtime._networks

    @pytest.fixture
    def spec(self, tmp_path: Path) -> InstanceSpec:
        bench = Bench(DockerRuntime("unix:///none"), tmp_path, "j", "image:1")
        return bench.spec("a", Says(""), has_network=True, network="net")

    @pytest.mark.parametrize(
        "answer",
        [
            (403, {"message": "Pool overlaps with other one on this address space"}),
            (500, {"message": "subnet 10.210.0.0/26 is already used on the host or by another config"}),
        ],
    )
    def test_that_addresses_are_taken_leads_to_the_next(
        self, engine: FakeEngine, networks: Networks, spec: InstanceSpec, answer: tuple[int, object]
    ) -> None:
        """Somebody whom we do not see may have a subnet: the next one is offered."""
        engine.on("POST /networks/create", answer, (201, {"Id": "n"}))
        assert networks.mode_for(spec) == "net"
        offered = [body["IPAM"]["Config"][0]["Subnet"] for body in engine.bodies("POST /networks/create")]
        assert len(set(offered)) == 2

    @pytest.mark.parametrize("status", [409, 500])
    def test_that_it_is_there_is_success(
        self, engine: FakeEngine, networks: Networks, spec: InstanceSpec, status: int
    ) -> None:
        """Somebody of ours was faster."""
        engine.on(
            "POST /networks/create", (status, {"message": "network name net already used: network already exists"})
        )
        assert networks.mode_for(spec) == "net"

    def test_that_it_cannot_comes_with_a_way_out(
        self, engine: FakeEngine, networks: Networks, spec: InstanceSpec
    ) -> None:
        """A machine without packet filters says so; the operator may let agents share a network."""
        engine.on("POST /networks/create", (500, {"message": "iptables failed: no chain by that name"}))
        with pytest.raises(RuntimeRefused, match="iptables failed") as refused:
            networks.mode_for(spec)
        assert "networkPool" in refused.value.advice

    def test_nothing_is_no_outcome(self, engine: FakeEngine, networks: Networks, spec: InstanceSpec) -> None:
        """Hanging up, or a list that is none, is tried again later."""
        engine.on("POST /networks/create", None)
        with pytest.raises(RuntimeUnavailable):
            networks.mode_for(spec)
        engine.on("GET /networks", (200, [{"Name": 1}]))
        with pytest.raises(RuntimeUnavailable):
            networks.mode_for(spec)

    def test_are_counted_when_the_pool_is_small(
        self, engine: FakeEngine, runtime: DockerRuntime, spec: InstanceSpec
    ) -> None:
        """A pool that is used up is named, with what to configure."""
        pool = IPv4Network("10.99.0.0/24")
        used = {"Name": "x", "Id": "x", "IPAM": {"Config": [{"Subnet": "10.99.0.0/24"}, {"Subnet": "fd00::/64"}]}}
        engine.on("GET /networks", (200, [used]))
        networks = Networks(runtime._connections.client, runtime.dialect, pool)
        with pytest.raises(RuntimeRefused, match=r"no free network in 10\.99"):
            networks.mode_for(spec)

    def test_is_not_asked_without_a_pool(self, engine: FakeEngine, runtime: DockerRuntime, spec: InstanceSpec) -> None:
        """The operator's choice of one shared network needs none of ours."""
        assert Networks(runtime._connections.client, runtime.dialect, None).mode_for(spec) == "bridge"
        assert not any("networks" in call for call in engine.calls)
