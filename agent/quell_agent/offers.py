"""What the agent offers on this machine, and why it lacks the rest: each kind has its lines here."""

from collections.abc import Callable
from dataclasses import dataclass

from quell_agent import departure, sample_archive, scan
from quell_agent.artifacts import Uploads
from quell_agent.effects import restrict_code_execution
from quell_agent.effects.collect_investigation_package import CollectInvestigationPackage
from quell_agent.effects.isolate_device import IsolateDevice
from quell_agent.effects.offboard_machine import OffboardMachine, Standing
from quell_agent.effects.release_code_execution import ReleaseCodeExecution
from quell_agent.effects.release_device_from_isolation import ReleaseDeviceFromIsolation
from quell_agent.effects.release_from_quarantine import ReleaseFromQuarantine
from quell_agent.effects.request_sample import RequestSample
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.effects.run_antivirus_scan import RunAntivirusScan
from quell_agent.effects.stop_and_quarantine import Machine, StopAndQuarantine
from quell_agent.execution.policy import Policy
from quell_agent.isolation import nftables
from quell_agent.isolation.control import ControlChannel
from quell_agent.isolation.device import Isolation
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.places import Places
from quell_agent.processes import Processes
from quell_agent.protected import Protected
from quell_agent.sample import Samples
from quell_agent.scan import Rules
from quell_agent.search import Search
from quell_agent.settings import AgentSettings
from quell_agent.vault import Vaults
from quell_agent.vault_file import VaultKeys
from quell_executor.effect import Offers
from quell_runtime.seams import Point


@dataclass(frozen=True, slots=True)
class Means:
    """What the agent hands to its effects."""

    keys: VaultKeys
    point: Point
    uploads: Uploads
    control: Callable[[], ControlChannel]
    stands: Standing


def offers(settings: AgentSettings, means: Means) -> Offers:
    """Return what can be done here, by kind."""
    protected = Protected(settings.data)
    processes = Processes(protected.runs_the_machine)
    vaults = Vaults(settings.data, means.keys)
    persistence = Persistence(vaults, Places(), protected)
    machine = Machine(vaults, processes, Search(vaults, processes, protected), persistence, means.point)
    found: Offers = {
        "stop_and_quarantine": StopAndQuarantine(machine),
        "release_from_quarantine": ReleaseFromQuarantine(),
        "offboard_machine": OffboardMachine(departure.note(settings.data), means.stands),
        "collect_investigation_package": CollectInvestigationPackage(settings.data / "package", means.uploads),
    }
    if not restrict_code_execution.missing():
        found = {**found, **_execution(settings, means)}
    if not nftables.missing():
        found = {**found, **_network(settings, means)}
    if not sample_archive.missing():
        samples = Samples(vaults, processes)
        found = {**found, "request_sample": RequestSample(settings.data / "sample", samples, means.uploads)}
    if settings.rules is None or scan.missing():
        return found
    return {**found, "run_antivirus_scan": RunAntivirusScan(Rules(settings.rules, settings.data / "signatures"))}


def _execution(settings: AgentSettings, means: Means) -> Offers:
    house = House(settings.data / "execution", base=Policy(dead=settings.unguarded), point=means.point)
    return {"restrict_code_execution": RestrictCodeExecution(house), "release_code_execution": ReleaseCodeExecution()}


def _network(settings: AgentSettings, means: Means) -> Offers:
    isolation = Isolation(settings.data / "isolation", means.control, point=means.point)
    return {
        "isolate_device": IsolateDevice(isolation),
        "release_device_from_isolation": ReleaseDeviceFromIsolation(),
    }


def lack(kind: str) -> str:
    """Return why a kind is not offered."""
    match kind:
        case "run_antivirus_scan":
            return scan.missing() or "no folder of signatures is configured: set rules"
        case "request_sample":
            return sample_archive.missing()
        case "restrict_code_execution" | "release_code_execution":
            return restrict_code_execution.missing()
        case "isolate_device" | "release_device_from_isolation":
            return nftables.missing()
    raise AssertionError(f"{kind} is offered on every machine")
