"""Worlds that effects change: one for each executor. They survive every crash, and tell of each change.

`apply` is as naive as can be: it changes whatever it is given, so that a kit that asks twice is seen to.
"""

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.message import Message
from quell.remediation.v1 import device_pb2, email_pb2, item_pb2, remediation_pb2, target_pb2

from quell_executor.effect import Effect, Finding, Mark, Owned, Plan, PlannedItem, Progress, Reader, Reading, Release
from quell_executor.parts import because
from quell_runtime.kinds import order_of
from simulation.life import LIFE

OURS = "ours:"
"""Values that begin so were put there by an effect."""
NETWORK = "device.network"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the world by an effect."""

    action: str
    key: str
    before: str
    after: str
    reverts: bool


@dataclass
class World:
    """What is so, by item key; a thing that is not there has no key. `marks` tell whose change it is."""

    name: str
    chance: random.Random
    things: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    watching: list[asyncio.Event] = field(default_factory=list)
    device: str = ""
    told: Callable[["World", Change], None] = lambda _world, _change: None
    failing: float = 0.0

    async def change(self, action: str, key: str, after: str, *, reverts: bool) -> None:
        """Change one thing, if the one who does is alive; it may fail before, and die before or after."""
        life = LIFE.get()
        assert life is not None
        await asyncio.sleep(self.chance.random() * 2)
        life.point("world.before")
        if self.chance.random() < self.failing:
            raise OSError("simulated: it does not work")
        change = Change(action, key, self.things.get(key, ""), after, reverts)
        self.things[key] = after
        self.marks[key] = action
        if reverts:
            del self.marks[key]
        self.told(self, change)
        life.point("world.after")

    def meddle(self, key: str, value: str) -> None:
        """Change one thing, as users do; whoever watches hears of it."""
        self.things[key] = value
        for watch in self.watching:
            watch.set()

    def offers(self) -> dict[str, Effect[Any] | Reader[Any] | Release[Any]]:
        """Return the kinds that are served here."""
        if self.name == "email":
            return {
                "block_url": Blocking(self),
                "unblock_url": Unblocking(),
                "soft_delete_messages": Deleting(self),
                "restore_messages": Restoring(),
            }
        return {
            "stop_and_quarantine": Quarantining(self),
            "release_from_quarantine": GivingBack(),
            "isolate_device": Isolating(self),
            "release_device_from_isolation": Joining(),
            "run_antivirus_scan": Scanning(self),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an item is, what it is to be, and what it was."""

    before: str
    after: str

    def encoded(self) -> bytes:
        """Return the effect's own bytes."""
        return json.dumps([self.before, self.after]).encode()


def wanted(item: PlannedItem) -> Wanted:
    """Read the effect's own bytes."""
    return Wanted(*json.loads(item.before))


def original(value: str) -> str:
    """Return what a value replaced, if an effect put it there: what we make is marked with what was before."""
    if not value.startswith(OURS):
        return value
    before: str = json.loads(base64.b64decode(value.split(":")[2]))
    return before


def ours(before: str, what: str) -> str:
    """Return a value that an effect puts in place of another."""
    return f"{OURS}{what}:{base64.b64encode(json.dumps(before).encode()).decode()}"


class _Changing:
    """What all effects here share: they put a marked value in place of another, item by item."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _item(self, key: str, item: item_pb2.Item, names: Iterable[str] = (), what: str = "") -> PlannedItem:
        before = original(self.world.things.get(key, ""))
        return PlannedItem(key, item, Wanted(before, ours(before, what)).encoded(), frozenset(names))

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Change every item of the plan."""
        for number, item in enumerate(plan.items):
            progress.report("at it", percent=100 * number // len(plan.items))
            want = wanted(item)
            value = want.before if plan.reverts else want.after
            await self.world.change(plan.action, item.key, value, reverts=plan.reverts)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look."""
        await asyncio.sleep(self.world.chance.random() * 0.1)
        return [self._look(item, reverts=plan.reverts) for item in plan.items]

    def _look(self, item: PlannedItem, *, reverts: bool) -> Finding:
        now, want = self.world.things.get(item.key), wanted(item)
        if now is None:
            return Finding(item_pb2.ITEM_STATE_MISSING)
        if now == want.before:
            return Finding(item_pb2.ITEM_STATE_DONE if reverts else item_pb2.ITEM_STATE_PLANNED)
        if not now.startswith(OURS):
            return Finding(item_pb2.ITEM_STATE_CONFLICT, because("CHANGED"))
        if reverts:
            return self._free(item)
        return Finding(item_pb2.ITEM_STATE_DONE if now == want.after else item_pb2.ITEM_STATE_PLANNED)

    def _free(self, _item: PlannedItem) -> Finding:
        """Look whether a thing can be put back."""
        return Finding(item_pb2.ITEM_STATE_PLANNED)

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the marks on what this kind of effect works on."""
        await asyncio.sleep(self.world.chance.random() * 0.1)
        found = []
        for key, action in sorted(self.world.marks.items()):
            remediation = self._remediation(key) if self.world.things[key].startswith(OURS) else None
            if remediation is not None:
                item = await self.plan(order_of(remediation), None)
                (planned,) = [one for one in item.items if one.key == key]
                value = self.world.things[key]
                held = replace(planned, before=Wanted(original(value), value).encoded())
                found.append(Mark(action, remediation, held))
        return found

    async def plan(self, order: Any, within: Sequence[item_pb2.Item] | None) -> Plan:  # noqa: ANN401 - of any kind
        """Plan it."""
        raise NotImplementedError

    def _remediation(self, key: str) -> remediation_pb2.Remediation | None:
        """Return what makes one thing so, if this kind can."""
        raise NotImplementedError


class Blocking(_Changing):
    """Blocks URLs."""

    async def plan(self, order: email_pb2.BlockUrl, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        key = f"email.url:{order.pattern}"
        self.world.things.setdefault(key, "open")
        item = item_pb2.Item(url=item_pb2.UrlItem(pattern=order.pattern))
        return Plan((self._item(key, item),), frozenset({key}))

    def _remediation(self, key: str) -> remediation_pb2.Remediation | None:
        kind, _, pattern = key.partition(":")
        block = email_pb2.BlockUrl(pattern=pattern)
        return remediation_pb2.Remediation(block_url=block) if kind == "email.url" else None


class Unblocking:
    """Unblocks URLs."""

    def names(self, order: email_pb2.UnblockUrl) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"email.url:{order.pattern}"})

    def chooses(self, order: email_pb2.UnblockUrl, owned: Owned) -> bool:
        """Choose."""
        return owned.key == f"email.url:{order.pattern}"


class Deleting(_Changing):
    """Deletes messages: those of a subject, wherever they lie, or those that are named. Keys: mailbox, digest."""

    async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        found = [_message(key) for key in sorted(self.world.things) if key.startswith("email.message:")]
        chosen = within if within is not None else [item for item in found if _meant(order.messages, item.message)]
        names = _names(order.messages)
        items = [self._item(_key_of(item.message), item, names) for item in chosen]
        return Plan(tuple(items), names)

    def _remediation(self, key: str) -> remediation_pb2.Remediation | None:
        if not key.startswith("email.message:"):
            return None
        message = _message(key).message
        ref = target_pb2.MessageRef(mailbox=message.mailbox, sha256=message.sha256)
        selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
        delete = email_pb2.SoftDeleteMessages(messages=selector)
        return remediation_pb2.Remediation(soft_delete_messages=delete)


def _message(key: str) -> item_pb2.Item:
    _, mailbox, digest, subject = key.split(":")
    return item_pb2.Item(message=item_pb2.MessageItem(mailbox=mailbox, folder="INBOX", sha256=digest, subject=subject))


def _key_of(message: item_pb2.MessageItem) -> str:
    return f"email.message:{message.mailbox}:{message.sha256}:{message.subject}"


def message_key(who: str, subject: str, number: int) -> str:
    """Return the key of a message."""
    return f"email.message:mailboxes/{who}@example.org:{digest(f'{who}{subject}{number}')}:{subject}"


def _meant(selector: target_pb2.MessageSelector, message: item_pb2.MessageItem) -> bool:
    if selector.WhichOneof("by") == "cluster":
        return selector.cluster.subject == message.subject
    return any((ref.mailbox, ref.sha256) == (message.mailbox, message.sha256) for ref in selector.messages.messages)


def _names(selector: target_pb2.MessageSelector) -> frozenset[str]:
    return frozenset({f"email.query:{hashlib.sha256(selector.SerializeToString(deterministic=True)).hexdigest()}"})


class Restoring:
    """Restores messages."""

    def names(self, order: email_pb2.RestoreMessages) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"email.query:{order.action}"})

    def chooses(self, order: email_pb2.RestoreMessages, owned: Owned) -> bool:
        """Choose."""
        return owned.action == order.action


class Quarantining(_Changing):
    """Takes files away: by path, by content or both."""

    async def plan(self, order: device_pb2.StopAndQuarantine, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        chosen = [key for key in sorted(self.world.things) if is_file(order.file, key)]
        return Plan(tuple(map(self._file, chosen)), named(order.file))

    def _remediation(self, key: str) -> remediation_pb2.Remediation | None:
        if not key.startswith("device.file:"):
            return None
        _, content, path = key.split(":")
        selector = target_pb2.FileSelector(path=path, sha256=content)
        take = device_pb2.StopAndQuarantine(device=self.world.device, file=selector)
        return remediation_pb2.Remediation(stop_and_quarantine=take)

    def _file(self, key: str) -> PlannedItem:
        _, content, path = key.split(":")
        item = item_pb2.Item(file=item_pb2.FileItem(path=path, sha256=content))
        return self._item(key, item, {f"device.path:{path}", f"device.content:{content}"})

    def _free(self, item: PlannedItem) -> Finding:
        path = item.item.file.path
        others = [key for key in self.world.things if key.endswith(f":{path}") and key != item.key]
        if any(not self.world.things[key].startswith(OURS) for key in others):
            return Finding(item_pb2.ITEM_STATE_CONFLICT, because("PATH_TAKEN"))
        return Finding(item_pb2.ITEM_STATE_PLANNED)


def is_file(selector: target_pb2.FileSelector, key: str) -> bool:
    """Tell whether a selector means the file of a key."""
    if not key.startswith("device.file:"):
        return False
    _, content, path = key.split(":")
    return selector.path in ("", path) and selector.sha256 in ("", content)


def named(selector: target_pb2.FileSelector) -> frozenset[str]:
    """Return what a selector names."""
    if selector.path and selector.sha256:
        # Together they name one file: to fence its path alone would keep others from what it is not about.
        return frozenset({f"device.file:{selector.sha256}:{selector.path}"})
    return frozenset({f"device.path:{selector.path}" if selector.path else f"device.content:{selector.sha256}"})


def file_key(path: str, name: str) -> str:
    """Return the key of a file."""
    return f"device.file:{digest(name)}:{path}"


def digest(name: str) -> str:
    """Return the SHA-256 of what a name stands for."""
    return hashlib.sha256(name.encode()).hexdigest()


class GivingBack:
    """Gives files back: by content, or by the action that took them."""

    def names(self, order: device_pb2.ReleaseFromQuarantine) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"device.content:{order.sha256}"} if order.sha256 else ())

    def chooses(self, order: device_pb2.ReleaseFromQuarantine, owned: Owned) -> bool:
        """Choose."""
        return owned.item.file.sha256 == order.sha256 if order.sha256 else owned.action == order.action


class Isolating(_Changing):
    """Isolates the device, but for exclusions. Others can take that away, and it may cut off its own receipt."""

    dead_man = True

    async def plan(self, order: device_pb2.IsolateDevice, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        item = item_pb2.Item(device=item_pb2.DeviceItem(aspect="network"))
        what = ",".join(remote for exclusion in order.exclusions for remote in exclusion.remotes)
        return Plan((self._item(NETWORK, item, what=what),), frozenset({NETWORK}))

    async def moved(self, _plan: Plan) -> None:
        """Wait until somebody meddles."""
        watch = asyncio.Event()
        self.world.watching.append(watch)
        try:
            await watch.wait()
        finally:
            self.world.watching.remove(watch)

    def _remediation(self, key: str) -> remediation_pb2.Remediation | None:
        if key != NETWORK:
            return None
        what = self.world.things[key].split(":")[1]
        order = device_pb2.IsolateDevice(device=self.world.device, mode=device_pb2.ISOLATION_MODE_FULL)
        if what:
            order.mode = device_pb2.ISOLATION_MODE_SELECTIVE
            order.exclusions.add(remotes=what.split(","))
        return remediation_pb2.Remediation(isolate_device=order)


class Joining:
    """Ends the isolation."""

    def names(self, _order: Message) -> frozenset[str]:
        """Return what is named."""
        return frozenset({NETWORK})

    def chooses(self, _order: Message, owned: Owned) -> bool:
        """Choose."""
        return owned.key == NETWORK


class Scanning:
    """Reads every file."""

    def __init__(self, world: World) -> None:
        """Read a world."""
        self.world = world

    async def read(self, _action: str, _order: device_pb2.RunAntivirusScan, progress: Progress) -> Reading:
        """Find what is there."""
        for percent in (0, 50):
            progress.report("reading", percent=percent)
            await asyncio.sleep(self.world.chance.random() * 60)
        return Reading(())
