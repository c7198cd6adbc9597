"""Put a release's probes to its instances."""

from ploinky.control.addresses import Addresses
from ploinky.control.world import World
from ploinky.domain.errors import PloinkyError
from ploinky.domain.instance import Instance
from ploinky.domain.specs import Probe, ProbeKind
from ploinky.ports.probes import ProbeAnswer, Probes

SHOWN_OUTPUT_CHARACTERS = 200
SCRIPT_OUTPUT_LIMIT_BYTES = 4_096


class Probing:
    """Ask once; whatever hinders it is the answer."""

    def __init__(self, world: World, addresses: Addresses, probes: Probes) -> None:
        """Take where scripts are run, and how ports are reached."""
        self._world = world
        self._addresses = addresses
        self._probes = probes

    async def ask(self, instance_id: str, instance: Instance, probe: Probe) -> ProbeAnswer:
        """Return what one look found. Never raises for the instance's sake."""
        try:
            if probe.kind is ProbeKind.SCRIPT:
                return await self._script(instance, probe)
            address = await self._addresses.of(instance_id, probe.port)
        except PloinkyError as error:
            return ProbeAnswer(is_passed=False, finding=error.message)
        if probe.kind is ProbeKind.TCP:
            return await self._probes.tcp(address, probe.timeout_seconds)
        return await self._probes.http(address, probe.path, probe.timeout_seconds)

    async def _script(self, instance: Instance, probe: Probe) -> ProbeAnswer:
        runtime = self._world.runtimes.get(instance.runtime)
        done = await self._world.pools.engine(
            lambda: runtime.exec(
                instance.name,
                probe.command,
                timeout_seconds=probe.timeout_seconds,
                output_limit_bytes=SCRIPT_OUTPUT_LIMIT_BYTES,
            )
        )
        script = probe.command[0]
        if done.is_timed_out:
            return ProbeAnswer(is_passed=False, finding=f"`{script}` took longer than {probe.timeout_seconds:g} s")
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-SHOWN_OUTPUT_CHARACTERS:]
        finding = f"`{script}` exits with {done.exit_code}{f': {said}' if said else ''}"
        return ProbeAnswer(is_passed=done.exit_code == 0, finding=finding)
