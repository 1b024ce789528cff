"""Soft delete: messages leave their users' sight and can be put back exactly."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from quell.remediation.v1 import email_pb2, item_pb2, remediation_pb2, target_pb2

from quell_email.domain.mailboxes import Held, Mailboxes, Place, Sight
from quell_email.domain.selection import SENT, names
from quell_email.effects.choosing import Choosing, Chosen, each_mailbox, in_batches, notes, planned
from quell_email.effects.findings import PURGED, hindered, left_alone
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError

log = structlog.get_logger()
BATCH = 1000


@dataclass(frozen=True, slots=True)
class _Before:
    """What a plan keeps of an item: the copies, what was asked, and why it is left alone, if it is."""

    places: tuple[Place, ...]
    sent: bool
    refused: str = ""

    def dump(self) -> bytes:
        places = [place.plain() for place in self.places]
        return json.dumps({"places": places, "sent": self.sent, "refused": self.refused}).encode()


class SoftDeleteMessages:
    """The effect. Items are messages by mailbox and digest, with all their copies."""

    def __init__(self, mailboxes: Mailboxes, choosing: Choosing | None = None) -> None:
        """Work on these mailboxes; `choosing` knows what is excluded."""
        self._mailboxes = mailboxes
        self._choosing = choosing or Choosing(mailboxes)

    async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the messages, or only those `within`: again by digest, wherever in their mailbox they are now."""
        sent = order.include_sent_copies
        chosen = await self._choosing.choose(order.messages, within, sent=sent)
        asked = names(order.messages)
        items = tuple(planned(one, asked, _before(one, sent=sent)) for one in chosen)
        return Plan(items, asked, notes=notes(chosen))

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take what is still in sight, or put back; what can't be is left and seen by the probe."""

        async def work(mailbox: str, some: Sequence[PlannedItem]) -> None:
            digests = [item.item.message.sha256 for item in some]
            if plan.reverts:
                await self._mailboxes.put_back(mailbox, digests)
            else:
                await self._mailboxes.take(mailbox, digests, plan.action or "none", sent=_sent(some))

        await in_batches(plan, [item for item in plan.items if not _refused(item)], BATCH, progress, work)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look in the mailboxes and in what we hold."""
        found: dict[str, Finding] = {}

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            digests = [item.item.message.sha256 for item in items]
            sight = await self._mailboxes.look(mailbox, digests, sent=_sent(items))
            hinders = await self._mailboxes.obstacles(mailbox, sight.held) if plan.reverts and sight.held else {}
            for item, digest in zip(items, digests, strict=True):
                found[item.key] = _reverted(digest, sight, hinders) if plan.reverts else _taken(item, sight)

        await each_mailbox(plan.items, work)
        return [found[item.key] for item in plan.items]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back; what hinders one is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the records of what we hold."""
        found = []
        for mailbox in sorted(await self._mailboxes.addresses()):
            try:
                found += [_mark(mailbox, held) for held in await self._mailboxes.held(mailbox)]
            except RefusedError as error:
                log.warning("marks_not_read", error=str(error))
        return found


def _mark(mailbox: str, held: Held) -> Mark:
    # A copy from among what its user has sent is only taken where such copies are meant.
    sent = any(place.folder.rpartition("/")[2].casefold() in SENT for place in held.message.places)
    named = target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}", sha256=held.message.sha256)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    order = email_pb2.SoftDeleteMessages(messages=selector, include_sent_copies=sent)
    chosen = Chosen(mailbox, held.message)
    item = planned(chosen, names(selector), _before(chosen, sent=sent))
    return Mark(held.action, remediation_pb2.Remediation(soft_delete_messages=order), item)


def _before(chosen: Chosen, *, sent: bool) -> bytes:
    return _Before(chosen.message.places, sent, chosen.refused).dump()


def _refused(item: PlannedItem) -> str:
    return str(json.loads(item.before)["refused"])


def _sent(items: Sequence[PlannedItem]) -> bool:
    return any(json.loads(item.before)["sent"] for item in items[:1])


def _taken(item: PlannedItem, sight: Sight) -> Finding:
    digest = item.item.message.sha256
    if refused := _refused(item):
        return left_alone(refused)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    return Finding(item_pb2.ITEM_STATE_DONE if digest in sight.held | sight.purged else item_pb2.ITEM_STATE_MISSING)


def _reverted(digest: str, sight: Sight, hinders: Mapping[str, str]) -> Finding:
    if obstacle := hinders.get(digest, ""):
        return hindered(obstacle)
    if digest in sight.held:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_DONE)
    return Finding(item_pb2.ITEM_STATE_MISSING, PURGED if digest in sight.purged else None)
