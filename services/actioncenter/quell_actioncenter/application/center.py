"""The Action Center as one object: what the API's servicers and the simulation hold."""

import asyncio
from collections.abc import Mapping

from quell.actioncenter.v1 import action_pb2

from quell_actioncenter.application.actions import Actions
from quell_actioncenter.application.controls import Controls
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.dispatch import Dispatcher
from quell_actioncenter.application.investigations import Investigations
from quell_actioncenter.application.newcomers import Newcomers
from quell_actioncenter.application.plans import Plans
from quell_actioncenter.application.policies import Policies
from quell_actioncenter.application.rereading import Rereading
from quell_actioncenter.application.setting import ExecutorSetting, House, Settings
from quell_actioncenter.application.shown import shown
from quell_actioncenter.application.timer import Timer
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.signing.seals import Seals
from quell_actioncenter.store.tables import COUNTERS
from quell_runtime.seams import Clock, Point, Rng, nowhere
from quell_runtime.store import Store

__all__ = ["Center", "ExecutorSetting", "Settings"]

START = "start"
"""Key of the number of the newest start."""


class Center:
    """Everything wired. `start` before use, `stop` at the end; a crash instead of `stop` loses nothing."""

    def __init__(self, store: Store, clock: Clock, rng: Rng, settings: Settings, *, point: Point = nowhere) -> None:
        """Wire it; nothing runs yet."""
        self.clock = clock
        self._desk = Desk(store, clock, rng)
        self._seals = Seals(settings.seal_key, settings.key_set, settings.deployment)
        self._dispatchers: dict[str, Dispatcher] = {}
        plans = Plans(rng, self._dispatchers)
        self._house = House(self._seals, plans, point=point)
        for executor in settings.executors:
            self._dispatchers[executor.plane] = Dispatcher(self._desk, self._house, executor)
        self._newcomers = Newcomers(self._desk, plans)
        self._tasks: list[asyncio.Task[None]] = []
        self.investigations = Investigations(self._desk)
        self.actions = Actions(self._desk, plans, settings.deployment)
        self.controls = Controls(self._desk, self._seals)
        self.policies = Policies(self._desk)

    async def start(self, policy: str | None = None) -> None:
        """Draw the start number, put the policy in force if it is new, begin to dispatch and to keep time.

        Raises:
            KeyNotInForceError: Executors would not believe our seal.
            PolicyInvalidError: The policy has mistakes.

        """
        self._seals.check(self._desk.clock.now())
        await self.policies.load(policy)
        await self.controls.reseal()
        self._house.start = await self._desk.decide(lambda book: book.draw(START), [(COUNTERS, START)])
        runs = [Timer(self._desk).run(), Rereading(self._desk).run(), self._newcomers.run()]
        runs += [dispatcher.run() for dispatcher in self._dispatchers.values()]
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def stop(self) -> None:
        """End every task of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def progress(self) -> Mapping[str, action_pb2.Progress]:
        """Return how far executors are, by action; lost at a restart."""
        return self._house.progress

    def shown(self, record: ActionRecord) -> action_pb2.Action:
        """Return an action as it is now."""
        progress = self._house.progress.get(record.name)
        return shown(record, progress, self._desk.in_force.policy, self._desk.clock.now())

    def connected(self) -> Mapping[str, bool]:
        """Return of each configured plane whether its executor has a stream now."""
        return {plane: dispatcher.connected for plane, dispatcher in self._dispatchers.items()}
