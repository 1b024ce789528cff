"""At rest: everything that was decided has its end, and the register of effects in force is what the world shows."""

import asyncio

from quell.remediation.v1 import outcome_pb2

from quell_actioncenter.application.register import name_inherited
from quell_actioncenter.domain.lifecycle import ENDED, UNDECIDED, State
from quell_actioncenter.store.tables import ACTIONS, EFFECTS
from quell_executor.journal.records import ORDERS, OUTGOING, OWNERS, Stage
from simulation.house import Simulation
from simulation.nodes import KEEP, AgentNode, ExecutorNode
from simulation.people import People
from simulation.storm import Storm
from simulation.world import OURS

HOURS = 3.0
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


async def come_to_rest(simulation: Simulation, people: People, storm: Storm) -> None:
    """Let everything come to its end, and look at what is left."""
    await storm.calm()
    await asyncio.gather(*people.waiting)
    await _thaw(simulation, people)
    if not await _drained(simulation):
        return
    for _, line in simulation.lines:
        line.break_off()
    await asyncio.sleep(120)
    if not await _drained(simulation):
        return
    simulation.oracle.remembered()
    for one in simulation.executors:
        _register_is_true(simulation, one)


async def _thaw(simulation: Simulation, people: People) -> None:
    if simulation.center.restored:
        # Executors may have heard of a freeze that the older copy does not know: only a newer one can be lifted.
        await people.freeze()
    for _ in range(10):
        work = people.unfreeze()
        if work is None:
            return
        await work
    simulation.violated(9, "it stays frozen, whoever lifts it")


async def _drained(simulation: Simulation) -> bool:
    """Wait until nothing is under way; what never ends is a broken promise."""
    loop = asyncio.get_running_loop()
    until = loop.time() + HOURS * 3600
    while left := _under_way(simulation):
        if loop.time() > until:
            for what in left:
                simulation.violated(9, f"it never ends: {what}")
            return False
        await asyncio.sleep(20)
    return True


def _under_way(simulation: Simulation) -> list[str]:
    settled = (*UNDECIDED, *ENDED)
    found = [
        f"{record.name} is {State(record.state).name}"
        for record in simulation.oracle.mirror.of(ACTIONS).values()
        if record.state not in settled
    ]
    for name, oracle in simulation.oracles.items():
        orders, outgoing = oracle.mirror.of(ORDERS).values(), oracle.mirror.of(OUTGOING).values()
        found += [f"{name}: {order.action} is {order.stage}" for order in orders if order.stage is not Stage.ENDED]
        found += [f"{name}: {row.sort} of {row.action} is not stored" for row in outgoing if not row.stored]
    return found


def _register_is_true(simulation: Simulation, node: ExecutorNode) -> None:
    oracle, actions = simulation.oracles[node.name], simulation.oracle.mirror.of(ACTIONS)
    device = node.device if isinstance(node, AgentNode) else ""
    effects = simulation.oracle.mirror.of(EFFECTS).values()
    ours = [effect for effect in effects if effect.device == device]
    register = {effect.action: effect for effect in ours if effect.action}
    owners = oracle.mirror.of(OWNERS)
    for key, value in node.world.things.items():
        owner = owners.get(key)
        if not value.startswith(OURS):
            continue
        if owner is None:
            simulation.violated(9, f"{key} is in force, and nobody answers for it")
        elif owner.inherited or key in oracle.lost:
            continue
        elif owner.owner in actions and owner.owner not in register:
            simulation.violated(9, f"{key} is in force by {owner.owner}, which the register lacks")
    _inherited_is_true(simulation, node, {effect.name for effect in ours if not effect.action})
    # What was let go of longer ago than executors remember nobody can tell a centre that was restored.
    forgotten = simulation.lapse.elapsed() - simulation.known_since > KEEP.total_seconds()
    for action, effect in register.items():
        keys = [key for key, owner in owners.items() if owner.owner == action]
        so = [key for key in keys if node.world.things.get(key, "").startswith(OURS)]
        given_up = actions[action].action.failure.reason == "TARGET_LOST" and not actions[action].receipts
        if forgotten or node.restored or given_up:
            continue
        if not so or (effect.state == IN_FORCE and so != keys):
            shown = outcome_pb2.EffectState.Name(effect.effect.state)
            simulation.violated(9, f"the register says {shown} of {action}; of {keys} only {so} are")


def _inherited_is_true(simulation: Simulation, node: ExecutorNode, shown: set[str]) -> None:
    """Hold what the register shows as inherited against what is, by the executor's journal."""
    rows = [row for row in simulation.oracles[node.name].mirror.of(OWNERS).values() if row.inherited]
    so = {
        name_inherited(row.ownership.inherited) for row in rows if node.world.things.get(row.key, "").startswith(OURS)
    }
    if shown != so:
        simulation.violated(9, f"the register shows {shown} as inherited by {node.name}; it is {so}")
