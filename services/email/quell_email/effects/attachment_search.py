"""Which messages an order means that wants an attachment taken out: those that have it, and those that had it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import email_pb2, item_pb2, target_pb2

from quell_email.domain.attachments import Wanted
from quell_email.domain.mailboxes import Found
from quell_email.domain.selection import Criterion, criteria
from quell_email.domain.signatures import Signature
from quell_email.effects.attachment_record import TakenOut
from quell_email.effects.choosing import Choosing, Chosen, notes
from quell_email.effects.judging import Judged
from quell_email.effects.replacing import KIND, Replacing
from quell_email.threads import finished

AT_ONCE = 4
"""Mailboxes that are looked into at a time."""
SIGNED = {
    Signature.BROKEN: "carry a DKIM signature over what is changed: it will not verify afterwards",
    Signature.DOUBTFUL: "carry a DKIM signature over the beginning of the body: it may not verify afterwards",
}
Place = tuple[str, str]
"""A message by its mailbox and digest."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A message as it is, or as it was before it was changed.

    `chosen` tells why it is left alone, if it is; `absent`: it has no such attachment; `changed` is the digest of what
    it becomes, or became, empty if nothing can be done to it.
    """

    chosen: Chosen
    absent: bool = False
    changed: str = ""
    signature: Signature = Signature.NONE

    @property
    def place(self) -> Place:
        """Which message it is."""
        return self.chosen.mailbox, self.chosen.message.sha256


def sought_of(taken: TakenOut) -> Sought:
    """Return a message that something was taken out of, as it was."""
    message, original = taken.kept.item.message, taken.record.original
    found = Found(message.sha256, message.message_id, message.subject, original.places, headers=original.headers)
    return Sought(Chosen(taken.kept.mailbox, found), changed=taken.record.changed)


class AttachmentSearch:
    """Searches mailboxes and the vault."""

    def __init__(self, replacing: Replacing, choosing: Choosing) -> None:
        """Look into what is chosen."""
        self._replacing = replacing
        self._choosing = choosing

    async def search(
        self, order: email_pb2.QuarantineAttachment, within: Sequence[item_pb2.Item] | None
    ) -> list[Sought]:
        """Return every message that is meant, or only those `within`.

        One that has no such attachment is meant only where it is named, or nobody can tell.

        Raises:
            RefusedError: A mailbox or a location can't be told.

        """
        wanted = wanted_of(order)
        selector = _narrowed(order.messages, wanted)
        found = await self._choosing.choose(selector, within, sent=True)
        chosen = {(one.mailbox, one.message.sha256): one for one in found}
        taken, related = await self._taken_out(chosen, () if within is not None else criteria(selector))
        now = {} if within is not None else _now(related, taken)
        looked = await self._looked_at([*chosen.values(), *(now[place] for place in now.keys() - chosen)], wanted)
        had = [one for one in related if one.record.means(wanted)]
        befores, became = {one.before for one in related}, _now(had, taken).keys()
        named = selector.WhichOneof("by") == "messages" or within is not None
        meant = {one.before: sought_of(one) for one in had}
        for one in looked:
            has = bool(one.changed) and not (wanted.part and one.place in became)
            stood_for = one.place in became or (one.place in befores and not one.absent)
            lacks = one.place in chosen and not one.changed and not stood_for and (named or not one.absent)
            if one.chosen.refused or has or lacks:
                meant[one.place] = one
        return [meant[place] for place in sorted(meant)]

    async def _taken_out(
        self, chosen: Mapping[Place, Chosen], wanted: Sequence[Criterion]
    ) -> tuple[list[TakenOut], list[TakenOut]]:
        """Return all that something was taken out of, and of these what is meant."""
        held = await self._replacing.vault.held(KIND)

        def read() -> tuple[list[TakenOut], list[TakenOut]]:
            taken = TakenOut.all(held)
            return taken, [one for one in taken if _related(one, chosen, wanted)]

        return await finished(read)

    async def _looked_at(self, chosen: Sequence[Chosen], wanted: Wanted) -> list[Sought]:
        by_mailbox: dict[str, list[Chosen]] = defaultdict(list)
        for one in chosen:
            by_mailbox[one.mailbox].append(one)
        turn = asyncio.Semaphore(AT_ONCE)

        async def look(mailbox: str, some: Sequence[Chosen]) -> list[Sought]:
            async with turn:
                return await self._look_at(mailbox, some, wanted)

        found = await asyncio.gather(*(look(mailbox, some) for mailbox, some in by_mailbox.items()))
        return [one for some in found for one in some]

    async def _look_at(self, mailbox: str, chosen: Sequence[Chosen], wanted: Wanted) -> list[Sought]:
        """Look into messages of one mailbox; what is not in sight, or left alone by a rule, is returned as it is."""
        found = {one.message.sha256: Sought(one) for one in chosen}

        def look(sha256: str, judged: Judged) -> None:
            one = found[sha256].chosen
            if judged.refused:
                found[sha256] = Sought(replace(one, refused=judged.refused))
            elif not judged.cut.removed:
                found[sha256] = Sought(one, absent=True)
            else:
                found[sha256] = Sought(one, changed=judged.changed_sha256, signature=judged.cut.signature)

        asked = {one.message.sha256: wanted for one in chosen if not one.refused}
        if asked:
            await self._replacing.judging.each(mailbox, asked, look)
        return list(found.values())


def wanted_of(order: email_pb2.QuarantineAttachment) -> Wanted:
    """Return which attachment an order means."""
    return Wanted(order.sha256, order.file_name, order.part)


def notes_of(sought: Sequence[Sought]) -> tuple[str, ...]:
    """Return what people are told before they approve."""
    numbers = Counter(one.signature for one in sought if one.signature in SIGNED)
    signed = (f"{number} of these {SIGNED[signature]}" for signature, number in sorted(numbers.items()))
    return (*notes([one.chosen for one in sought]), *signed)


def _narrowed(selector: target_pb2.MessageSelector, wanted: Wanted) -> target_pb2.MessageSelector:
    """Return a selector that a cluster's messages without this content do not answer: they need not be looked into."""
    if selector.WhichOneof("by") != "cluster" or not wanted.sha256 or selector.cluster.attachment_sha256:
        return selector
    found = target_pb2.MessageSelector()
    found.CopyFrom(selector)
    found.cluster.attachment_sha256 = wanted.sha256
    return found


def _related(taken: TakenOut, chosen: Mapping[Place, Chosen], wanted: Sequence[Criterion]) -> bool:
    """Tell whether what was changed is meant, as it was or as it is."""
    original, (mailbox, sha256) = taken.record.original, taken.before
    return (
        taken.before in chosen or taken.after in chosen or any(original.answers(one, mailbox, sha256) for one in wanted)
    )


def _now(related: Sequence[TakenOut], taken: Sequence[TakenOut]) -> dict[Place, Chosen]:
    """Return what messages have become by now: more may be taken out of them."""
    later = {one.before: one for one in taken}
    found = {}
    for first in related:
        last = first
        while last.after in later:
            last = later[last.after]
        chosen = sought_of(first).chosen
        found[last.after] = replace(chosen, message=replace(chosen.message, sha256=last.record.changed))
    return found
