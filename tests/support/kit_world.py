"""A small world of files with a vault, and the kinds that work on it: `stop_and_quarantine`, its release, a scan."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from quell.remediation.v1 import device_pb2, item_pb2, remediation_pb2, result_pb2, target_pb2

from quell_executor.effect import Effect, Finding, Mark, Owned, Plan, PlannedItem, Progress, Reader, Reading, Release
from quell_executor.parts import because

DEVICE = "devices/aaaaaaaaaaaaaaaaaaaaaaaaaa"


def content(name: str) -> str:
    """Return the SHA-256 of what a name stands for."""
    return sha256(name.encode()).hexdigest()


@dataclass
class Files:
    """The world: a content by path, and what is in the vault, by item key with the action that took it.

    `before_each` is called before each change, and may raise; `gate` lets changes and readings through. `changes` are
    those that were made, in order. A `lying` effect does nothing; a `blind` one can't be probed.
    """

    files: dict[str, str] = field(default_factory=dict)
    vault: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    before_each: Callable[[str], None] = lambda _change: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    lying: bool = False
    blind: bool = False

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    def offers(self) -> dict[str, Effect[Any] | Reader[Any] | Release[Any]]:
        """Return what an executor over this world offers."""
        return {
            "stop_and_quarantine": Quarantine(self),
            "release_from_quarantine": GiveBack(),
            "run_antivirus_scan": Scan(self),
        }


class Quarantine:
    """Moves files into the vault."""

    def __init__(self, world: Files) -> None:
        """Work on a world."""
        self.world = world

    async def plan(self, order: device_pb2.StopAndQuarantine, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the files, also those in the vault."""
        held = [(key.split(":")[2], key.split(":")[1]) for key in self.world.vault]
        found = sorted({*self.world.files.items(), *held})
        wanted = order.file
        items = [
            _item(path, digest) for path, digest in found if wanted.path in ("", path) and wanted.sha256 in ("", digest)
        ]
        # A path and a content together name one file: each of them alone names more.
        names = [f"device.path:{wanted.path}"] if wanted.path else [f"device.content:{wanted.sha256}"]
        return Plan(tuple(items), frozenset(names))

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Move them, one after the other."""
        for number, item in enumerate(plan.items):
            await self.world.gate.wait()
            progress.report(item.key, percent=100 * number // len(plan.items))
            (finding,) = await self.probe(replace(plan, items=(item,)))
            if finding.state != item_pb2.ITEM_STATE_PLANNED or self.world.lying:
                continue
            change = f"{'back' if plan.reverts else 'take'} {item.item.file.path}"
            self.world.before_each(change)
            self._change(plan, item)
            self.world.changes.append(change)
            await asyncio.sleep(0)

    def _change(self, plan: Plan, item: PlannedItem) -> None:
        path = item.item.file.path
        if plan.reverts:
            self.world.files[path] = item.before.decode()
            del self.world.vault[item.key]
        else:
            del self.world.files[path]
            self.world.vault[item.key] = plan.action

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look."""
        if self.world.blind:
            raise OSError("it can't be told")
        return [self._look(item, reverts=plan.reverts) for item in plan.items]

    def _look(self, item: PlannedItem, *, reverts: bool) -> Finding:
        there = self.world.files.get(item.item.file.path)
        held = item.key in self.world.vault
        if there == item.before.decode():
            return Finding(item_pb2.ITEM_STATE_DONE if reverts else item_pb2.ITEM_STATE_PLANNED)
        if held and reverts and there is not None:
            return Finding(item_pb2.ITEM_STATE_CONFLICT, because("PATH_TAKEN"))
        if held:
            return Finding(item_pb2.ITEM_STATE_PLANNED if reverts else item_pb2.ITEM_STATE_DONE)
        return Finding(item_pb2.ITEM_STATE_MISSING)

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the vault."""
        held = [(action, *key.split(":")[1:]) for key, action in self.world.vault.items()]
        return [Mark(action, quarantine(path), _item(path, digest)) for action, digest, path in held]


def _item(path: str, digest: str) -> PlannedItem:
    file = item_pb2.FileItem(path=path, sha256=digest)
    names = frozenset({f"device.path:{path}", f"device.content:{digest}"})
    return PlannedItem(f"device.file:{digest}:{path}", item_pb2.Item(file=file), digest.encode(), names)


class GiveBack:
    """Lets go of files, by content or by the action that took them."""

    def names(self, order: device_pb2.ReleaseFromQuarantine) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"device.content:{order.sha256}"} if order.sha256 else ())

    def chooses(self, order: device_pb2.ReleaseFromQuarantine, owned: Owned) -> bool:
        """Choose."""
        if order.sha256:
            return owned.item.file.sha256 == order.sha256
        return owned.action == order.action


class Scan:
    """Reads every file."""

    def __init__(self, world: Files) -> None:
        """Read a world."""
        self.world = world
        self.reading = 0
        self.most = 0
        self.actions: list[str] = []

    async def read(self, action: str, _order: device_pb2.RunAntivirusScan, progress: Progress) -> Reading:
        """Find what is called bad."""
        self.actions.append(action)
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            progress.report("reading")
            await self.world.gate.wait()
            self.world.before_each("read")
        finally:
            self.reading -= 1
        found = [
            item_pb2.ItemOutcome(
                item=item_pb2.Item(finding=item_pb2.FindingItem(file=item_pb2.FileItem(path=path), signature="bad")),
                state=item_pb2.ITEM_STATE_DONE,
            )
            for path, digest in sorted(self.world.files.items())
            if digest == content("bad")
        ]
        return Reading(tuple(found), scan=result_pb2.ScanResult(scanned_files=len(self.world.files)))


def quarantine(path: str = "", name: str = "") -> remediation_pb2.Remediation:
    """Order files into quarantine: by path, by content, or both."""
    selector = target_pb2.FileSelector(path=path, sha256=content(name) if name else "")
    return remediation_pb2.Remediation(stop_and_quarantine=device_pb2.StopAndQuarantine(device=DEVICE, file=selector))


def give_back(name: str = "", action: str = "") -> remediation_pb2.Remediation:
    """Order files out of quarantine: by content, or what an action took."""
    release = device_pb2.ReleaseFromQuarantine(device=DEVICE)
    if action:
        release.action = action
    else:
        release.sha256 = content(name)
    return remediation_pb2.Remediation(release_from_quarantine=release)


def scan() -> remediation_pb2.Remediation:
    """Order a scan."""
    order = device_pb2.RunAntivirusScan(device=DEVICE, quick=device_pb2.QuickScan())
    return remediation_pb2.Remediation(run_antivirus_scan=order)
