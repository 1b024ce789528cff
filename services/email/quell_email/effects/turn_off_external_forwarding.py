"""Turn off external forwarding: what sends a mailbox's mail outside is taken out of its scripts and files, no more."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import email_pb2, failure_pb2, item_pb2, remediation_pb2

from quell_email.domain.exclusions import Exclusions
from quell_email.domain.forwards import Forwards, Judged, Script, script_of
from quell_email.domain.selection import address_of
from quell_email.sieve.places import judged
from quell_email.store.pre_images import PreImages
from quell_email.threads import finished
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError
from quell_runtime.seams import Point, nowhere

MOST_ADDRESSES = 100
MOST_LINES = 2000
"""Lines of two texts that are compared, to say what differs: the time for it grows with their square."""
CHANGED = "SCRIPT_CHANGED"


@dataclass(frozen=True, slots=True)
class _Change:
    """One place as it was, and as it is to be while forwarding is off."""

    before: Script
    after: Script

    def dump(self) -> bytes:
        return json.dumps({"before": self.before.plain(), "after": self.after.plain()}).encode()


class TurnOffExternalForwarding:
    """The effect. Items are the places of a mailbox that send mail outside."""

    def __init__(
        self,
        forwards: Forwards,
        pre_images: PreImages,
        domains: Collection[str],
        exclusions: Exclusions = Exclusions(),  # noqa: B008 - frozen
        point: Point = nowhere,
    ) -> None:
        """Work on these mailboxes; `domains` are the organisation's own."""
        self._forwards = forwards
        self._pre_images = pre_images
        self._domains = frozenset(domains)
        self._exclusions = exclusions
        self._point = point

    async def plan(
        self,
        order: email_pb2.TurnOffExternalForwarding,
        within: Sequence[item_pb2.Item] | None,  # noqa: ARG002 - one mailbox is never a cluster
    ) -> Plan:
        """Read every place of the mailbox, and plan what is to stand in those that send mail outside."""
        mailbox = address_of(order.mailbox)
        if reason := self._exclusions.reason(mailbox, None):
            raise RefusedError(reason, "this mailbox is left alone: the email service's own exclusion")
        scripts = await self._forwards.read(mailbox)
        ours = await finished(lambda: self._pre_images.of([key_of(mailbox, script.shown) for script in scripts]))
        found = await finished(lambda: list(judged(scripts, self._domains)))
        items = []
        for script, like in sorted(found, key=lambda one: (not one[0].active, one[0].place)):
            mark = ours.get(key_of(mailbox, script.shown))
            if script.link or like.disarmed != script.content:
                items.append(_planned(mailbox, script, like))
            elif mark and _change(mark.item).after.reads_as(script):
                items.append(mark.item)
        return Plan(tuple(items), frozenset({name_of(mailbox)}), notes=tuple(_notes(items)))

    async def apply(self, plan: Plan, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Replace what is still as it was planned from, one place at a time."""
        for item, finding in zip(plan.items, await self.probe(plan), strict=True):
            if finding.state == item_pb2.ITEM_STATE_PLANNED:
                await (self._give_back(item) if plan.reverts else self._turn_off(item, plan.action or "none"))

    async def _turn_off(self, item: PlannedItem, action: str) -> None:
        change = _change(item)
        await finished(lambda: self._pre_images.enter(action, _remediation(_mailbox(item)), item))
        self._point("forwarding.recorded")
        await self._forwards.replace(_mailbox(item), change.before, change.after)
        self._point("forwarding.replaced")

    async def _give_back(self, item: PlannedItem) -> None:
        change = _change(item)
        if await self._forwards.replace(_mailbox(item), change.after, change.before):
            self._point("forwarding.given_back")
            await finished(lambda: self._pre_images.drop(item.key))

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Read what is there now."""
        now = {mailbox: await self._now(mailbox) for mailbox in {_mailbox(item) for item in plan.items}}
        kept = await finished(lambda: self._pre_images.of([item.key for item in plan.items]))
        found = []
        for item in plan.items:
            script = now[_mailbox(item)].get(_change(item).before.place)
            if plan.reverts:
                found.append(_back(_change(item), script, recorded=item.key in kept))
            else:
                found.append(_off(_change(item), script, self._domains))
        return found

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back; what its user has changed since is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read what we have kept."""
        return await finished(self._pre_images.all)

    async def _now(self, mailbox: str) -> Mapping[str, Script]:
        return {script.place: script for script in await self._forwards.read(mailbox)}


def key_of(mailbox: str, place: str) -> str:
    """Return the item key of a place."""
    return f"{name_of(mailbox)}:{place}"


def name_of(mailbox: str) -> str:
    """Return the key of all forwarding of a mailbox: what an order names."""
    return f"email.forwarding:{mailbox}"


def _remediation(mailbox: str) -> remediation_pb2.Remediation:
    order = email_pb2.TurnOffExternalForwarding(mailbox=f"mailboxes/{mailbox}")
    return remediation_pb2.Remediation(turn_off_external_forwarding=order)


def _planned(mailbox: str, script: Script, like: Judged) -> PlannedItem:
    item = item_pb2.ForwardingItem(
        mailbox=f"mailboxes/{mailbox}",
        mechanism=script.mechanism,
        place=script.shown,
        addresses=[address for address in like.outside if address][:MOST_ADDRESSES],
        whole=like.whole,
        other_rules=like.rules,
    )
    change = _Change(script, replace(script, content=like.disarmed, link=""))
    names = frozenset({name_of(mailbox)})
    return PlannedItem(key_of(mailbox, script.shown), item_pb2.Item(forwarding=item), change.dump(), names)


def _notes(items: Sequence[PlannedItem]) -> list[str]:
    whole = [item.item.forwarding for item in items if item.item.forwarding.whole]
    return [f"turns off {one.place} as a whole: {one.whole}"[:500] for one in whole][:50]


def _mailbox(item: PlannedItem) -> str:
    return address_of(item.item.forwarding.mailbox)


def _change(item: PlannedItem) -> _Change:
    held = json.loads(item.before)
    return _Change(script_of(held["before"]), script_of(held["after"]))


def _off(change: _Change, now: Script | None, domains: Collection[str]) -> Finding:
    """Say how a place is that is to send nothing outside: whatever its user has made of it."""
    if now is None:
        return Finding(item_pb2.ITEM_STATE_MISSING)
    if now.reads_as(change.after):
        return Finding(item_pb2.ITEM_STATE_DONE)
    if now.reads_as(change.before):
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    ((_, like),) = judged([now], domains)
    if not now.link and not like.outside:
        return Finding(item_pb2.ITEM_STATE_DONE)
    return _conflict(CHANGED, f"it sends mail outside again: {_difference(change.after, now)}")


def _back(change: _Change, now: Script | None, *, recorded: bool) -> Finding:
    """Say how a place is that is to be as it was before."""
    if now is None:
        return _conflict("SCRIPT_GONE", "its user has deleted it since")
    if not now.reads_as(change.before) and not now.reads_as(change.after):
        return _conflict(CHANGED, f"its user has changed it since: {_difference(change.after, now)}")
    if now.active != change.before.active:
        is_now = "the one" if now.active else "no longer the one"
        return _conflict("ACTIVE_CHANGED", f"it is {is_now} that the server runs")
    given_back = now.reads_as(change.before) and not recorded
    return Finding(item_pb2.ITEM_STATE_DONE if given_back else item_pb2.ITEM_STATE_PLANNED)


def _conflict(reason: str, message: str) -> Finding:
    return Finding(item_pb2.ITEM_STATE_CONFLICT, failure_pb2.Failure(reason=reason, message=message))


def _difference(ours: Script, now: Script) -> str:
    """Say what differs, in lines; their text is the user's own."""
    if now.link:
        return "it is a link now"
    old, new = ours.content.splitlines(), now.content.splitlines()
    if len(old) + len(new) > MOST_LINES:
        return f"it had {len(old)} lines, and has {len(new)}"
    changes = [change for change in difflib.SequenceMatcher(None, old, new).get_opcodes() if change[0] != "equal"]
    if not changes:
        return "line ends differ"
    gone = sum(end - start for _, start, end, _, _ in changes)
    come = sum(end - start for _, _, _, start, end in changes)
    return f"{come} lines came and {gone} went, from line {changes[0][3] + 1} on"
