"""Stop every process of a file, put the file under lock, and disarm what would start it again.

Undo puts all of it back exactly, or changes nothing.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import device_pb2, item_pb2

from quell_agent import files, quarantine_probe
from quell_agent.before import Before
from quell_agent.persistence import probe, units
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.start import Start
from quell_agent.persistence.swap import disarm, rearm
from quell_agent.processes import Processes, Wanted
from quell_agent.search import Search, named, names_that_mean
from quell_agent.steps import finish, give_back, lock, logged, look, move_in
from quell_agent.vault import Room, Vaults
from quell_agent.vault_marks import marks
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress
from quell_runtime.seams import Point, nowhere


@dataclass(frozen=True, slots=True)
class Machine:
    """What the effect works on."""

    vaults: Vaults
    processes: Processes
    search: Search
    persistence: Persistence
    point: Point = nowhere


class StopAndQuarantine:
    """The effect."""

    def __init__(self, machine: Machine) -> None:
        """Work on a machine."""
        self._machine = machine

    async def plan(self, order: device_pb2.StopAndQuarantine, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the files, and what would start them again, and note all that is needed to put them back."""
        found = await asyncio.to_thread(self._machine.search.find, order)
        starts = await asyncio.to_thread(self._machine.persistence.find, found)
        notes = () if not (starts and order.keep_persistence) else (f"{len(starts)} places that would start it stay",)
        items = [*map(_planned, found), *([] if order.keep_persistence else map(_planned_start, starts))]
        wanted = None if within is None else set(map(_thing, within))
        return Plan(
            tuple(item for item in items if wanted is None or _thing(item.item) in wanted), named(order), notes=notes
        )

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put the same back."""
        return replace(plan, reverts=True, notes=())

    async def marks(self) -> Sequence[Mark]:
        """Read the records of the vaults."""
        return await asyncio.to_thread(marks, self._machine.vaults, _planned_thing)

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take the files, or give them back."""
        way = [self._give_back, self._rearm] if plan.reverts else [self._disarm, self._take]
        work = _Work(plan, progress, threading.Event())
        running = asyncio.ensure_future(self._go(way, work))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread can't be cut off: it ends what it is at, and begins nothing else.
            work.stopping.set()
            await asyncio.gather(running, return_exceptions=True)
            raise

    async def _go(self, way: "Sequence[Callable[[_Work], None]]", work: "_Work") -> None:
        for step in way:
            await asyncio.to_thread(step, work)
            if step in {self._disarm, self._rearm} and work.starts and self._machine.persistence.managed:
                await units.reload(work.starts, stop=not work.plan.reverts)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look at paths, processes, places and vault."""
        return await asyncio.to_thread(self._probe_revert if plan.reverts else self._probe, plan)

    def _disarm(self, work: "_Work") -> None:
        """Freeze first: what is taken away from under a process that runs, it could put back."""
        if work.wanted:
            self._machine.processes.freeze(_running(work.wanted)[0])
            self._machine.point("quarantine.frozen")
        for start in work.starts:
            if work.stopping.is_set():
                return
            if not start.refused:
                with logged("disarm_failed"), self._machine.vaults.beside(start.parent) as room:
                    disarm(room, start, work.plan.action, self._machine.point)

    def _take(self, work: "_Work") -> None:
        if not work.wanted:
            return
        groups = _groups(before for before in work.wanted if before.inode is not None)
        begun = []
        for number, group in enumerate(groups):
            if work.stopping.is_set():
                break
            work.progress.report("taking files", percent=50 * number // len(groups))
            begun.append(group)
            self._beside(group, move_in)
        self._machine.point("quarantine.moved")
        work.progress.report("stopping processes", percent=50)
        self._machine.processes.stop(*_running(work.wanted))
        self._machine.point("quarantine.stopped")
        for number, group in enumerate(begun):
            work.progress.report("putting files under lock", percent=60 + 40 * number // len(begun))
            self._beside(group, lambda room, group: lock(room, group, work.plan.action, self._machine.point))

    def _give_back(self, work: "_Work") -> None:
        groups = _groups(before for before in work.befores if before.inode is not None)
        for number, group in enumerate(groups):
            if work.stopping.is_set():
                return
            work.progress.report("giving files back", percent=100 * number // len(groups))
            with self._machine.vaults.holding(group[0].record) as room, logged("give_back_failed"):
                if room is not None:
                    give_back(room, group, self._machine.point)
        if work.wanted:
            # Taken back before they were stopped, they go on.
            self._machine.processes.thaw(_running(work.wanted)[0])
        sights = [(before, look(before)) for group in groups for before in group]
        finish([before for before, sight in sights if sight.restored or sight.file])

    def _rearm(self, work: "_Work") -> None:
        for start in work.starts:
            if work.stopping.is_set():
                return
            with self._machine.vaults.holding(start.record) as room, logged("rearm_failed"):
                if room is not None:
                    rearm(room, start, self._machine.point)

    def _beside(self, group: Sequence[Before], work: Callable[[Room, Sequence[Before]], None]) -> None:
        with logged("quarantine_failed"), self._machine.vaults.beside(group[0].parent) as room:
            work(room, group)

    def _probe(self, plan: Plan) -> list[Finding]:
        wanted = [before for before in _befores(plan) if not before.refused]
        running = self._machine.processes.stoppable(*_running(wanted)) if wanted else []
        alive = {each.content.sha256 for each in running} | {each.path for each in running if not each.content.sha256}

        def found(thing: Before | Start) -> Finding:
            if isinstance(thing, Start):
                return probe.found(self._machine.vaults, thing)
            runs = bool({thing.content.sha256, thing.path} & alive)
            return quarantine_probe.found(self._machine.vaults, thing, runs=runs)

        return [found(_loaded(item)) for item in plan.items]

    def _probe_revert(self, plan: Plan) -> list[Finding]:
        def found(thing: Before | Start) -> Finding:
            look_at = probe.found_back if isinstance(thing, Start) else quarantine_probe.found_back
            return look_at(self._machine.vaults, thing)  # type: ignore[arg-type]

        return [found(_loaded(item)) for item in plan.items]


@dataclass(frozen=True, slots=True)
class _Work:
    """A plan under way. `stopping` is set when nothing else is to be begun."""

    plan: Plan
    progress: Progress
    stopping: threading.Event

    @property
    def befores(self) -> list[Before]:
        return _befores(self.plan)

    @property
    def wanted(self) -> list[Before]:
        return [before for before in self.befores if not before.refused]

    @property
    def starts(self) -> list[Start]:
        return [thing for thing in map(_loaded, self.plan.items) if isinstance(thing, Start)]


def _planned(before: Before) -> PlannedItem:
    return PlannedItem(before.key, item_pb2.Item(file=_file(before)), before.dump(), names_that_mean(before))


def _planned_thing(thing: Before | Start) -> PlannedItem:
    return _planned_start(thing) if isinstance(thing, Start) else _planned(thing)


def _planned_start(start: Start) -> PlannedItem:
    befores = [Before(path, start.content, start.record) for path in start.named]
    file = item_pb2.FileItem(path=files.shown(start.named[0]), sha256=start.content.sha256)
    item = item_pb2.StartItem(path=files.shown(start.path), entry=start.entry, file=file)
    names = frozenset({start.lock}).union(*map(names_that_mean, befores))
    return PlannedItem(start.key, item_pb2.Item(start=item), start.dump(), names)


def _file(before: Before) -> item_pb2.FileItem:
    size = before.inode.size if before.inode is not None else 0
    return item_pb2.FileItem(path=files.shown(before.path), sha256=before.content.sha256, size_bytes=size)


def _thing(item: item_pb2.Item) -> tuple[str, str, str]:
    """Return what tells an item from others."""
    if item.HasField("start"):
        return "start", item.start.path, item.start.file.sha256
    return "file", item.file.path, item.file.sha256


def _loaded(item: PlannedItem) -> Before | Start:
    return Start.load(item.before) if item.item.HasField("start") else Before.load(item.before)


def _befores(plan: Plan) -> list[Before]:
    return [thing for thing in map(_loaded, plan.items) if isinstance(thing, Before)]


def _running(befores: Iterable[Before]) -> tuple[Wanted, frozenset[str]]:
    """Tell how to find what runs of some files: their contents, and the paths of scripts that were taken away."""
    befores = list(befores)
    contents = frozenset(before.content.sha256 for before in befores)
    gone = frozenset(before.path for before in befores if before.inode is not None)
    sizes = {-1 if before.inode is None else before.inode.size for before in befores}
    return Wanted(lambda content: content.sha256 in contents, frozenset() if -1 in sizes else frozenset(sizes)), gone


def _groups(befores: Iterable[Before]) -> list[list[Before]]:
    groups: dict[str, list[Before]] = {}
    for before in befores:
        groups.setdefault(before.record, []).append(before)
    return list(groups.values())
