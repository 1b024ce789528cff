"""A machine leaves only with nothing in force on it that nobody could take back any more."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import House
from kit_network import Network, isolate
from quell_agent.effects.offboard_machine import LIFTED, OffboardMachine
from quell_executor.effect import Offers
from quell_executor.journal.records import OWNERS, REVERTS
from quell_executor.lifting import Lifting

IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


def leave(*, release_first: bool = False) -> remediation_pb2.Remediation:
    """Return the order."""
    order = device_pb2.OffboardMachine(device=f"devices/{'a' * 26}", release_first=release_first)
    return remediation_pb2.Remediation(offboard_machine=order)


class Machine(House):
    """A house with a network of its own, and the note that it left."""

    def __init__(self, folder: Path) -> None:
        """Begin with an administrator's network."""
        super().__init__(folder)
        self.network, self.note, self.within = Network("an administrator's"), folder / "left", 5.0

    def offers(self) -> Offers:
        """Offer what works on the network, and to leave."""
        offboard = OffboardMachine(self.note, Lifting(self.store, LIFTED, self.within))
        return {**super().offers(), **self.network.offers(), "offboard_machine": offboard}


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """Return one with an executor that a centre speaks with."""
    found = Machine(tmp_path)
    await found.move_in()
    await found.connect()
    yield found
    await found.crash()


async def test_nothing_in_force_it_leaves(machine: Machine) -> None:
    """The note names the action; asked again there is nothing to do."""
    done = await machine.carry_out(leave())
    assert (done.outcome.effect, done.outcome.undo) == (IN_FORCE, outcome_pb2.UNDO_STATE_IMPOSSIBLE)
    assert f"actions/{machine.note.read_text()}" == done.action
    again = await machine.carry_out(leave())
    assert again.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE


async def test_an_isolated_one_is_refused_unless_told_to_lift(machine: Machine) -> None:
    """Refused it stays isolated; told so it is lifted first, reported, and then it leaves."""
    isolated = await machine.carry_out(isolate())
    refused = await machine.carry_out(leave())
    assert (refused.disposition, refused.failure.reason) == (receipt_pb2.DISPOSITION_REFUSED, "EFFECTS_IN_FORCE")
    assert (machine.network.rules, machine.note.exists()) == ("ours:", False)
    done = await machine.carry_out(leave(release_first=True))
    assert done.outcome.effect == IN_FORCE
    assert (machine.network.rules, machine.note.exists()) == ("an administrator's", True)
    assert not await machine.store.select(OWNERS, "WHERE kind = 'isolate_device'")
    assert not await machine.store.select(REVERTS)
    assert isolated.action in {report.action for report in machine.center.reports}


async def test_what_can_not_be_lifted_keeps_it_here(machine: Machine) -> None:
    """Nothing is noted, and the receipt says that it did not happen."""
    machine.within = 0.2
    await machine.again()
    await machine.carry_out(isolate())
    machine.network.stubborn = True
    done = await machine.carry_out(leave(release_first=True))
    assert done.outcome.effect == outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
    assert (machine.network.rules, machine.note.exists()) == ("ours:", False)
