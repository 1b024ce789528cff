"""Stop every process of a file, and put the file under lock; undo puts it back exactly, or changes nothing.

What would start the file again (units, timers, cron lines, preloads) is left as it is in this version, whatever
`keep_persistence` says; a preview tells so.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import device_pb2, failure_pb2, item_pb2

from quell_agent import files
from quell_agent.before import Before
from quell_agent.processes import Processes, Wanted
from quell_agent.search import Search, named, names_that_mean
from quell_agent.steps import Sight, finish, give_back, lock, logged, look, move_in, obstacle
from quell_agent.vault import Room, Vaults, back, raw
from quell_agent.vault_file import VaultDamagedError
from quell_executor.effect import Finding, Plan, PlannedItem, Progress
from quell_runtime.seams import Point, nowhere

PERSISTENCE_NOTE = "what would start it again (units, timers, cron lines, preloads) is left as it is"
MESSAGES = {
    "PROTECTED": "the machine or the agent needs this file: it is never taken",
    "NOT_PERMITTED": "the agent does not run as root, and the file is not its own",
    "NOT_REACHABLE": "it runs in another root folder, where the agent does not reach its file",
    "STILL_RUNS": "a process of this content still runs",
    "OTHER_NAMES": "the file has more names than were found; under those it can still be reached",
    "CAME_BACK": "the content lies at this path again, as another file",
    "HALF_MOVED": "the file is in the vault, but not yet under lock",
    "HALF_BACK": "the file is at its path again, but still in the vault too",
    "VAULT_DAMAGED": "what lies in the vault does not open, or is another content",
    "VAULT_LOST": "the vault does not hold it",
    "PATH_TAKEN": "something else lies at its path now",
    "FOLDER_CHANGED": "its folder is gone, or is another one now",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the effect works on."""

    vaults: Vaults
    processes: Processes
    search: Search
    point: Point = nowhere


class StopAndQuarantine:
    """The effect."""

    def __init__(self, machine: Machine) -> None:
        """Work on a machine."""
        self._machine = machine

    async def plan(self, order: device_pb2.StopAndQuarantine, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the files, and note all that is needed to put them back."""
        found = await asyncio.to_thread(self._machine.search.find, order)
        wanted = None if within is None else {(item.file.path, item.file.sha256) for item in within}
        items = tuple(
            item
            for item in map(_planned, found)
            if wanted is None or (item.item.file.path, item.item.file.sha256) in wanted
        )
        return Plan(items, named(order), notes=() if order.keep_persistence else (PERSISTENCE_NOTE,))

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to give the same files back."""
        return replace(plan, reverts=True, notes=())

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take the files, or give them back."""
        work = self._give_back if plan.reverts else self._take
        stopping = threading.Event()
        running = asyncio.ensure_future(asyncio.to_thread(work, plan, progress, stopping))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread can't be cut off: it ends what it is at, and begins no other file.
            stopping.set()
            await asyncio.gather(running, return_exceptions=True)
            raise

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look at paths, processes and vault."""
        return await asyncio.to_thread(self._probe_revert if plan.reverts else self._probe, plan)

    def _take(self, plan: Plan, progress: Progress, stopping: threading.Event) -> None:
        wanted = [before for before in map(_before, plan.items) if not before.refused]
        groups = _groups(before for before in wanted if before.inode is not None)
        begun = []
        for number, group in enumerate(groups):
            if stopping.is_set():
                break
            progress.report("taking files", percent=50 * number // len(groups))
            begun.append(group)
            self._beside(group, move_in)
        self._machine.point("quarantine.moved")
        progress.report("stopping processes", percent=50)
        self._machine.processes.stop(*_running(wanted))
        self._machine.point("quarantine.stopped")
        for number, group in enumerate(begun):
            progress.report("putting files under lock", percent=60 + 40 * number // len(begun))
            self._beside(group, lambda room, group: lock(room, group, plan.action, self._machine.point))

    def _give_back(self, plan: Plan, progress: Progress, stopping: threading.Event) -> None:
        groups = _groups(before for before in map(_before, plan.items) if before.inode is not None)
        for number, group in enumerate(groups):
            if stopping.is_set():
                return
            progress.report("giving files back", percent=100 * number // len(groups))
            with self._machine.vaults.holding(group[0]) as room, logged("give_back_failed"):
                if room is not None:
                    give_back(room, group, self._machine.point)
        sights = [(before, look(before)) for group in groups for before in group]
        finish([before for before, sight in sights if sight.restored or sight.file])

    def _beside(self, group: Sequence[Before], work: Callable[[Room, Sequence[Before]], None]) -> None:
        with logged("quarantine_failed"), self._machine.vaults.beside(group[0].parent) as room:
            work(room, group)

    def _probe(self, plan: Plan) -> list[Finding]:
        befores = [_before(item) for item in plan.items]
        running = self._machine.processes.stoppable(*_running(before for before in befores if not before.refused))
        alive = {each.content.sha256 for each in running} | {each.path for each in running if not each.content.sha256}
        return [self._found(before, runs=bool({before.content.sha256, before.path} & alive)) for before in befores]

    def _found(self, before: Before, *, runs: bool) -> Finding:
        if before.refused:
            return _finding(item_pb2.ITEM_STATE_REFUSED, before.refused)
        if before.inode is None:
            return _finding(item_pb2.ITEM_STATE_PLANNED if runs else item_pb2.ITEM_STATE_DONE)
        sight = look(before)
        if not sight.content:
            return self._held(before, runs=runs)
        with self._machine.vaults.holding(before) as room:
            # The number of a file that was taken may be given to the next.
            taken = room is not None and _is_locked(room, before)
        if sight.file and not taken:
            return _finding(item_pb2.ITEM_STATE_PLANNED)
        return _finding(item_pb2.ITEM_STATE_FAILED, "CAME_BACK")

    def _held(self, before: Before, *, runs: bool) -> Finding:
        """Say how a file is that no longer lies at its path."""
        with self._machine.vaults.holding(before) as room:
            if room is None or not (room.has(raw(before)) or _is_locked(room, before)):
                return _finding(item_pb2.ITEM_STATE_MISSING)
            if not _is_locked(room, before):
                return _finding(item_pb2.ITEM_STATE_FAILED, "HALF_MOVED")
            if not _opens(room, before):
                return _finding(item_pb2.ITEM_STATE_FAILED, "VAULT_DAMAGED")
        if runs:
            return _finding(item_pb2.ITEM_STATE_FAILED, "STILL_RUNS")
        if before.inode is not None and before.inode.links > len(before.names):
            return _finding(item_pb2.ITEM_STATE_FAILED, "OTHER_NAMES")
        return _finding(item_pb2.ITEM_STATE_DONE)

    def _probe_revert(self, plan: Plan) -> list[Finding]:
        return [self._found_back(_before(item)) for item in plan.items]

    def _found_back(self, before: Before) -> Finding:
        if before.inode is None:
            return _finding(item_pb2.ITEM_STATE_MISSING)
        sight = look(before)
        with self._machine.vaults.holding(before) as room:
            if sight.restored and _is_still_held(room, before, sight):
                return _finding(item_pb2.ITEM_STATE_FAILED, "HALF_BACK")
            if sight.restored:
                return _finding(item_pb2.ITEM_STATE_DONE)
            if _is_half_back(room, before, sight):
                return _finding(item_pb2.ITEM_STATE_PLANNED)
            if reason := obstacle(before):
                return _finding(item_pb2.ITEM_STATE_CONFLICT, reason)
            reason = _lack(room, before)
        return _finding(item_pb2.ITEM_STATE_FAILED if reason else item_pb2.ITEM_STATE_PLANNED, reason)


def _planned(before: Before) -> PlannedItem:
    size = before.inode.size if before.inode is not None else 0
    item = item_pb2.FileItem(path=files.shown(before.path), sha256=before.content.sha256, size_bytes=size)
    return PlannedItem(before.key, item_pb2.Item(file=item), before.dump(), names_that_mean(before))


def _before(item: PlannedItem) -> Before:
    return Before.load(item.before)


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


def _finding(state: item_pb2.ItemState.ValueType, reason: str = "") -> Finding:
    return Finding(state, failure_pb2.Failure(reason=reason, message=MESSAGES[reason]) if reason else None)


def _is_locked(room: Room, before: Before) -> bool:
    return room.has(f"{before.record}.sealed") and not room.has(back(before))


def _opens(room: Room, before: Before) -> bool:
    """Tell whether the vault can give back the very content."""
    try:
        with room.sealed(before.record) as sealed:
            return sealed.digest() == before.content.sha256
    except VaultDamagedError:
        return False


def _lack(room: Room | None, before: Before) -> str:
    """Return why the vault can't give a file back, as a reason; empty: it can."""
    if room is None or not (room.has(raw(before)) or _is_locked(room, before)):
        return "VAULT_LOST"
    return "" if room.has(raw(before)) or _opens(room, before) else "VAULT_DAMAGED"


def _is_half_back(room: Room | None, before: Before, sight: Sight) -> bool:
    """Tell whether the file at the path is ours, on its way back: only what is set last is missing."""
    if not sight.unflagged:
        return False
    return sight.file or (
        room is not None and (room.has(back(before)) or room.identity(f"{before.record}.out") == sight.identity)
    )


def _is_still_held(room: Room | None, before: Before, sight: Sight) -> bool:
    """Tell whether a file that is back is in the vault too: as the same file, or under lock with all its names back."""
    if room is None:
        return False
    names = range(len(before.names))
    if sight.identity in map(room.identity, (f"{before.record}.out", raw(before))):
        return True
    return room.has(f"{before.record}.sealed") and all(room.has(f"{before.record}.{name}.back") for name in names)
