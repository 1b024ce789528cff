"""What the agent offers on this machine, and why it lacks the rest: each kind has its lines here."""

from dataclasses import dataclass

from quell_agent import scan
from quell_agent.effects import restrict_code_execution
from quell_agent.effects.release_code_execution import ReleaseCodeExecution
from quell_agent.effects.release_from_quarantine import ReleaseFromQuarantine
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.effects.run_antivirus_scan import RunAntivirusScan
from quell_agent.effects.stop_and_quarantine import Machine, StopAndQuarantine
from quell_agent.execution.policy import Policy
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.places import Places
from quell_agent.processes import Processes
from quell_agent.protected import Protected
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
    }
    if not restrict_code_execution.missing():
        found = {**found, **_execution(settings, means)}
    if settings.rules is None or scan.missing():
        return found
    return {**found, "run_antivirus_scan": RunAntivirusScan(Rules(settings.rules, settings.data / "signatures"))}


def _execution(settings: AgentSettings, means: Means) -> Offers:
    house = House(settings.data / "execution", base=Policy(dead=settings.unguarded), point=means.point)
    return {"restrict_code_execution": RestrictCodeExecution(house), "release_code_execution": ReleaseCodeExecution()}


def lack(kind: str) -> str:
    """Return why a kind is not offered."""
    if kind == "run_antivirus_scan":
        return scan.missing() or "no folder of signatures is configured: set rules"
    if kind in ("restrict_code_execution", "release_code_execution"):
        return restrict_code_execution.missing()
    return "not built yet"
