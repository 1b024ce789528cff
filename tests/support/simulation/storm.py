"""What goes wrong, at random: lives end, lines break, clocks err, weeks pass, disks are put back, users meddle."""

import asyncio
from datetime import timedelta

from quell_executor.journal.records import ORDERS, Stage
from simulation.house import Simulation
from simulation.nodes import ExecutorNode, Node
from simulation.world import NETWORK, OURS, World, file_key, message_key, original

HOUR = 3600.0
HOP_S = 45.0
"""Timers look at their clocks every 30 seconds: between two leaps of sleeping time each has looked."""


class Storm:
    """Faults of one seed, until `calm`."""

    def __init__(self, simulation: Simulation) -> None:
        """Draw what may happen."""
        self.simulation = simulation
        self.chance = simulation.chance("storm")
        self._copies: dict[str, bytes] = {}
        self._copied = 0.0
        self._restores = self.chance.random() < 0.4
        self._victim = self.chance.choice(("center", "email", "agent-1", "agent-2"))
        self._keepers = [asyncio.create_task(self._keep(node)) for node in simulation.nodes]
        for node in simulation.nodes:
            if self.chance.random() < 0.5:
                simulation.clock_of(node.name).skew = timedelta(seconds=self.chance.uniform(-30, 30))
        for one in simulation.executors:
            one.world.failing = self.chance.choice((0.0, 0.0, 0.05, 0.4))

    async def _keep(self, node: Node) -> None:
        """Begin a life again when it is over, some time later, maybe on an older disk."""
        while True:
            node.begin()
            assert node.life
            await node.life.over.wait()
            self.simulation.counts.crashes += 1
            if self.simulation.storm:
                await asyncio.sleep(self.chance.choice((0.1, 5, 60)) * self.chance.random())
                self._maybe_restore(node)

    def _maybe_restore(self, node: Node) -> None:
        copy = self._copies.get(node.name)
        if copy is not None and isinstance(node, ExecutorNode) and self.chance.random() < 0.5:
            # All of it is lost, not only what is new.
            copy = b""
        if copy is None or self.simulation.counts.restores or self.chance.random() < 0.5:
            return
        simulation = self.simulation
        simulation.counts.restores += 1
        simulation.note(f"{node.name} is restored from an older copy")
        node.restore(copy)
        oracle = simulation.oracle if node is simulation.center else simulation.oracles[node.name]
        oracle.mirror.load(node.path)
        oracle.restored()
        if node is simulation.center:
            # The oldest bytes may be another warrant's by now.
            simulation.said.clear()
            simulation.known_since = self._copied
        else:
            simulation.said = [(name, sent) for name, sent in simulation.said if name == "never"]

    def blow(self) -> None:
        """Let something happen."""
        deeds = [
            (self.kill, 3),
            (self.part, 3),
            (self.meet, 3),
            (self.cut, 2),
            (self.echo, 2),
            (self.skew, 1),
            (self.copy, 3),
            (self.meddle, 2),
            (self.rotate, 1),
        ]
        (deed,) = self.chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
        deed()

    def _node(self) -> Node:
        return self.chance.choice(self.simulation.nodes)

    def kill(self) -> None:
        """End a life anywhere."""
        node = self._node()
        if node.life and node.life.alive:
            self.simulation.note(f"{node.name} is killed")
            node.life.end()

    def part(self) -> None:
        """Let two no longer hear each other."""
        pairs = [("center", "email"), ("center", "router"), ("router", "agent-1"), ("router", "agent-2")]
        pair = frozenset(self.chance.choice(pairs))
        self.simulation.silent.add(pair)
        self.simulation.counts.partitions += 1
        self.simulation.note(f"{sorted(pair)} are parted")
        for names, line in self.simulation.lines:
            if names == pair:
                line.fall_silent()

    def meet(self) -> None:
        """Let all hear each other again."""
        self.simulation.silent.clear()

    def cut(self) -> None:
        """Break a line."""
        if self.simulation.lines:
            self.chance.choice(self.simulation.lines)[1].break_off()

    def echo(self) -> None:
        """Let old bytes come again."""
        names = {frozenset({"center", name}): (name, sent) for name, sent in self.simulation.said[-5:]}
        for pair, line in self.simulation.lines:
            if pair in names and not line.cut:
                self.simulation.note(f"old bytes come again to {names[pair][0]}")
                line.there.come(names[pair][1])

    def skew(self) -> None:
        """Set a clock wrong; an executor's so much that it notices."""
        node = self.chance.choice(self.simulation.executors)
        wrong = self.chance.choice((-900, -60, 0, 60))
        self.simulation.note(f"the clock of {node.name} is {wrong} seconds wrong")
        self.simulation.clock_of(node.name).skew = timedelta(seconds=wrong)

    def copy(self) -> None:
        """Keep a copy of a disk, to be put back some day."""
        if self._restores and self._victim not in self._copies:
            node = next(node for node in self.simulation.nodes if node.name == self._victim)
            self._copies[node.name] = node.copy()
            self._copied = self.simulation.lapse.elapsed()

    def rotate(self) -> None:
        """Have the centre seal with another key from its next life on."""
        self.simulation.center.new_keys(self.simulation.lapse.now(), revoke=self.chance.random() < 0.3)

    def meddle(self) -> None:
        """Let users change the world, where no effect is in the middle of it."""
        node: ExecutorNode = self.chance.choice(self.simulation.executors)
        orders = self.simulation.oracles[node.name].mirror.of(ORDERS).values()
        if any(order.stage is Stage.BEGUN for order in orders):
            return
        self._change(node.world)

    def _change(self, world: World) -> None:
        if world.name == "email":
            new = message_key(self.chance.choice(("ann", "bob", "carol")), "prize", self.chance.randint(1, 4))
            world.things.setdefault(new, "INBOX")
        elif self.chance.random() < 0.5:
            new = file_key(self.chance.choice(("/a", "/b", "/c", "/d")), self.chance.choice(("bad", "worse")))
            path = new.rpartition(":")[2]
            if not any(key.endswith(f":{path}") and not value.startswith(OURS) for key, value in world.things.items()):
                world.things.setdefault(new, "0600")
        key = self.chance.choice(sorted(world.things))
        if world.name != "email" and self.chance.random() < 0.3:
            key = NETWORK
        if world.things[key].startswith(OURS) and not key.startswith("device.file") and self.chance.random() < 0.5:
            world.meddle(key, original(world.things[key]))
        self.simulation.note(f"users change {world.name}")

    async def sleep(self) -> None:
        """Let hours or weeks pass, in which machines sleep but for some moments."""
        total = self.chance.choice((0, 0, 0, 0.2 * HOUR, 2 * HOUR, 24 * HOUR, 14 * 24 * HOUR))
        hops = self.chance.randint(1, 4)
        for _ in range(hops if total else 0):
            self.simulation.lapse.slept += total / hops
            await asyncio.sleep(HOP_S)

    async def calm(self) -> None:
        """End all of it: nothing fails any more, and everybody lives."""
        simulation = self.simulation
        simulation.storm = False
        simulation.faults.heal()
        simulation.silent.clear()
        for one in simulation.executors:
            one.world.failing = 0.0
        for name in simulation.clocks:
            simulation.clocks[name].skew = timedelta()
        for _ in range(1000):
            if all(node.serves for node in simulation.nodes):
                return
            await asyncio.sleep(5)
        simulation.violated(9, "somebody does not come back to life")

    async def end(self) -> None:
        """End the simulation."""
        for keeper in self._keepers:
            keeper.cancel()
        for node in self.simulation.nodes:
            if node.life:
                node.life.end()
        await asyncio.sleep(1)
