"""What an operator allowed reaches the container, and nothing else changes."""

import json
from pathlib import Path

import pytest

from ploinky.domain.grants import Grants, Volume
from tests.adapters.runtime.test_engine_networks import CONNECTS, LISTENS, PORT, library
from tests.contracts.runtime_harness import Bench, Says

STATUS = "print(open('/proc/self/status').read())"


@pytest.fixture
def bench(engine_bench: Bench) -> Bench:
    return engine_bench


def test_volumes_are_written_by_one_generation_and_read_by_the_next(bench: Bench) -> None:
    """A folder of the machine is seen where it was put, and what is written stays."""
    (bench.folder / "cache").mkdir()
    (bench.folder / "cache").chmod(0o777)
    grants = Grants(volumes=(Volume(str(bench.folder / "cache"), "/var/cache/own"),))
    bench.output_of("first", "open('/var/cache/own/x', 'w').write('kept')", grants=grants)
    assert bench.output_of("second", "print(open('/var/cache/own/x').read())", grants=grants).strip() == "kept"


def test_devices_are_there_by_name(bench: Bench) -> None:
    """A device that was granted is in the container; without the grant it is not."""
    source = "import os, json; print(json.dumps(os.path.exists('/dev/loop-control')))"
    grants = Grants(devices=("/dev/loop-control",))
    if not Path("/dev/loop-control").exists():
        grants, source = Grants(devices=("/dev/kmsg",)), source.replace("loop-control", "kmsg")
    assert json.loads(bench.output_of("with", source, grants=grants)) is True
    assert json.loads(bench.output_of("without", source)) is False


def test_privileges_are_given_to_who_may_have_them(bench: Bench) -> None:
    """A privileged container may gain privileges, which no other may."""
    output = bench.output_of("vip", STATUS, grants=Grants(is_privileged=True))
    assert "NoNewPrivs:\t0" in output
    assert int(output.split("CapBnd:\t")[1].split()[0], 16) > 0


def test_further_networks_are_joined(bench: Bench) -> None:
    """An agent reaches what is on a network it was granted, and is not on any other."""
    shared = bench.name("shared")
    first = bench.run_until_it_speaks("db", Says(LISTENS), has_network=True, network=shared)
    (network,) = library(bench).inspect_container(first)["NetworkSettings"]["Networks"].values()
    source = CONNECTS % (network["IPAddress"], PORT)
    grants = Grants(networks=(shared,))
    assert bench.output_of("in", source, has_network=True, network=bench.name("own"), grants=grants).strip() == "hello"
    assert bench.output_of("out", source, has_network=True, network=bench.name("own")).strip() == "unreachable"


def test_names_are_known_in_the_own_network(bench: Bench) -> None:
    """An alias belongs to the container in its deployment's network."""
    network = bench.name("own")
    spec = {"has_network": True, "network": network, "grants": Grants(aliases=("web",))}
    name = bench.run_until_it_speaks("web", Says(LISTENS), **spec)
    found = library(bench).inspect_container(name)["NetworkSettings"]["Networks"][network]
    assert "web" in found["Aliases"]


def test_the_machines_network_is_the_machines(bench: Bench) -> None:
    """On the host's network the container has the machine's interfaces."""
    source = "import socket, json; print(json.dumps(sorted(name for _, name in socket.if_nameindex())))"
    spec = {"has_network": True, "network": bench.name("own"), "grants": Grants(is_on_host_network=True)}
    names = json.loads(bench.output_of("host", source, **spec))
    assert "lo" in names
    assert library(bench).networks(names=[bench.name("own")]) == []
