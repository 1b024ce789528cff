"""Isolate, isolate otherwise, release, cancel, lost answers and crashes, in any order: the last desired state stays."""

import asyncio
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from kit_house import House, stored
from kit_network import Network, isolate, join
from quell_executor.settings import Pace
from simulation.run import MEMORY

OPEN = "open"
CARRIED_OUT = receipt_pb2.DISPOSITION_CARRIED_OUT
SUPERSEDED = receipt_pb2.DISPOSITION_SUPERSEDED
SO = (
    outcome_pb2.EFFECT_STATE_IN_FORCE,
    outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE,
    # A release that finds nothing.
    outcome_pb2.EFFECT_STATE_TARGET_GONE,
)
CALLED_OFF = (receipt_pb2.DISPOSITION_CANCELED, receipt_pb2.DISPOSITION_STOPPED)
WANTED = {"isolate": "ours:", "otherwise": "ours:192.0.2.7", "release": OPEN}
TURNS = 50_000


@dataclass
class Burst:
    """Some orders for one device, by rising sequence, and which of them were called off."""

    house: House
    network: Network
    chance: random.Random
    orders: list[tuple[str, warrant_pb2.Warrant]] = field(default_factory=list)
    canceled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Draw the orders."""
        remediations = {"isolate": isolate(hold=True), "otherwise": isolate("192.0.2.7", hold=True), "release": join()}
        for _ in range(self.chance.randint(2, 5)):
            what = self.chance.choice(list(remediations))
            self.orders.append((what, self.house.center.warrant(remediations[what])))

    async def play(self) -> None:
        """Send them in any order, some twice; cancel, break off and crash in between; until each has its receipt."""
        sent = [warrant for _, warrant in self.orders] * 2
        self.chance.shuffle(sent)
        for warrant in sent[: self.chance.randint(len(self.orders), len(sent))]:
            self.house.send(warrant)
            await self.house.quiet(self.chance.choice((0, 1, 5, 20, 60)))
            await self._trouble(warrant)
        for _ in range(TURNS):
            if all(self.house.center.of(warrant.action) for _, warrant in self.orders):
                break
            if not _ % 500:
                # What has no receipt is sent again, as the centre does.
                self.house.send(*(each for _, each in self.orders if not self.house.center.of(each.action)))
            await asyncio.sleep(0)
        await self.house.quiet(50)
        if self.chance.random() < 0.3:
            # In the middle of a change it would be the receipt's to tell.
            self.network.meddle()

    async def _trouble(self, warrant: warrant_pb2.Warrant) -> None:
        draw = self.chance.random()
        if draw < 0.15:
            self.canceled.add(warrant.action)
            self.house.say(cancels=executor_service_pb2.Cancels(actions=[warrant.action]))
        elif draw < 0.22:
            # Answers that were under way are lost.
            self.house.wire.cut = True
            await self.house.connect()
        elif draw < 0.25:
            await self.house.again()

    def desired(self) -> str | None:
        """Return what is to be so: what the newest order that was not called off wants; None if none was left."""
        for what, warrant in reversed(self.orders):
            receipt = self.house.center.of(warrant.action)[-1]
            if receipt.disposition in CALLED_OFF and warrant.action in self.canceled:
                continue
            if receipt.disposition == SUPERSEDED:
                # What a newer one had begun is fenced, though that one was then stopped: neither is so any more.
                assert receipt.superseded_by in self.canceled, receipt
                return None
            assert receipt.disposition == CARRIED_OUT, receipt
            assert receipt.outcome.effect in SO, receipt
            return WANTED[what]
        return None


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Return the kit over a network that it keeps as ordered."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        found = House(Path(folder))
        found.settings = type(found.settings)(
            found.settings.deployment, found.settings.root_key, pace=Pace(look=0.0, again=0.01)
        )
        yield found


async def played(house: House, count: int, chance: random.Random, forget: Callable[[House], None]) -> None:
    """Play bursts, one after the other, on the same device."""
    network = Network(OPEN)
    house.more = dict(network.offers())
    await house.move_in()
    await house.connect()
    for _ in range(count):
        burst = Burst(house, network, chance)
        await burst.play()
        wanted = burst.desired()
        if wanted is not None:
            await house.until(lambda wanted=wanted: network.rules == wanted)
        ids = [receipt.id for receipt in house.center.receipts] + [report.id for report in house.center.reports]
        house.say(stored=stored(ids))
        await house.quiet(20)
        forget(house)
    await house.crash()


def _forget(house: House) -> None:
    center = house.center
    for heard in (center.receipts, center.reports, center.messages, center.chunks):
        heard.clear()


@pytest.mark.timeout(3000)
async def test_the_last_desired_state_stays(request: pytest.FixtureRequest, house: House) -> None:
    """Whatever was lost, doubled or came late."""
    seed = request.config.getoption("--seed", None) or secrets.randbelow(10**9)
    try:
        await played(house, request.config.getoption("--interleavings", 200), random.Random(seed), _forget)  # noqa: S311
    except BaseException:
        print(f"seed {seed}")  # noqa: T201 - a test's
        raise
