"""Putting a changed message in the place of another, and back: what is needed for the way back goes first.

Each step is durable before the next: the pieces, their record, the new copies, and only then the old ones are removed.
Broken off anywhere, doing it again comes to the same end, and no copy is lost.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from quell_email.domain.attachments import CutError, Wanted
from quell_email.domain.cutting import Cutting
from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Mailboxes, Place, besides
from quell_email.domain.mime import UnparsableError, header_block
from quell_email.domain.splice import inverse, replaced, restored
from quell_email.effects.attachment_record import AttachmentRecord, TakenOut, Way
from quell_email.effects.quarantine_record import QuarantineRecord
from quell_email.parsing.parser import Parser
from quell_email.threads import finished
from quell_email.vault.records import OURS, Kept, KeptState, kept_id
from quell_email.vault.vault import Vault
from quell_executor.effect import PlannedItem, RefusedError
from quell_runtime.locked import VaultDamagedError
from quell_runtime.seams import Clock, Point, nowhere

log = structlog.get_logger()
KIND = "quarantine_attachment"
BATCH = 16
TOO_LARGE = "MESSAGE_TOO_LARGE"
MAX_BYTES = 64 << 20
"""Of a message that is looked into."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be done to a message: cut; or why not: `refused` in upper snake case. Neither: it is not in sight."""

    raw: bytes = field(default=b"", repr=False)
    cut: Cutting | None = None
    refused: str = ""
    changed: bytes = field(default=b"", repr=False)
    changed_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Change:
    """A message that is to be changed, and how."""

    item: PlannedItem
    wanted: Wanted
    judged: Judged
    cut: Cutting

    @property
    def sha256(self) -> str:
        return self.item.item.message.sha256


@dataclass(frozen=True, slots=True)
class Replacing:
    """How messages are changed, some of a mailbox at a time: to look through it costs more than all else."""

    mailboxes: Mailboxes
    vault: Vault
    parser: Parser
    clock: Clock
    point: Point = field(default=nowhere)

    async def judge(self, mailbox: str, sha256: str, wanted: Wanted) -> Judged:
        """Look into a message. It changes nothing.

        Raises:
            RefusedError: The mailboxes can't be reached.

        """
        try:
            raw = await self.mailboxes.read(mailbox, sha256)
        except RefusedError as refusal:
            if refusal.failure.reason != TOO_LARGE:
                raise
            return Judged(refused=TOO_LARGE)
        if raw is None:
            return Judged()
        if len(raw) > MAX_BYTES:
            return Judged(refused=TOO_LARGE)
        return await finished(lambda: self._cut(raw, wanted))

    async def take(
        self, action: str, mailbox: str, wanted: Sequence[tuple[PlannedItem, Wanted]], until: datetime
    ) -> None:
        """Put changed messages in the place of all copies of these; what can't be changed is left.

        What is taken out is kept until a time.
        """
        batch: list[_Change] = []
        for item, one in wanted:
            judged = await self.judge(mailbox, item.item.message.sha256, one)
            if judged.cut and judged.cut.removed:
                batch.append(_Change(item, one, judged, judged.cut))
            if len(batch) == BATCH or sum(len(change.judged.raw) for change in batch) > MAX_BYTES:
                await self._take(action, mailbox, batch, until)
                batch = []
        if batch:
            await self._take(action, mailbox, batch, until)

    async def give_back(self, mailbox: str, items: Sequence[PlannedItem]) -> None:
        """Put messages back as they were, wherever the changed ones are; what hinders one leaves it as it is."""
        async with self.vault.giving_back(KIND, [item.key for item in items]) as kept:
            records = TakenOut.all(kept)
            digests = {sha256 for one in records for _, sha256 in (one.before, one.after)}
            there = await self.mailboxes.places(mailbox, digests, sent=True)
            gone: set[str] = set()
            for one in records:
                if one.record.changed in there.keys() - gone and await self._put_back(mailbox, one, there):
                    gone.add(one.record.changed)
            await self.mailboxes.remove(mailbox, gone, sent=True)
            self.point("attachment.removed")
            left = await self.mailboxes.places(mailbox, digests, sent=True)
            back = [one.kept.id for one in records if one.record.changed not in left and one.before[1] in left]
            await self.vault.end(back, KeptState.RELEASED)

    async def _take(self, action: str, mailbox: str, batch: Sequence["_Change"], until: datetime) -> None:
        digests = {sha256 for change in batch for sha256 in (change.sha256, change.judged.changed_sha256)}
        there = await self.mailboxes.places(mailbox, digests, sent=True)
        put: list[str] = []
        try:
            kept = [await self._recorded(action, change, there, put, until) for change in batch]
            await self.vault.keep(kept)
        except BaseException:
            self.vault.abandon(put)
            raise
        self.point("attachment.kept")
        gone = []
        for change, one in zip(batch, kept, strict=True):
            beside = AttachmentRecord.load(one.before).beside
            try:
                await self.mailboxes.add(mailbox, change.judged.changed, [*there.get(change.sha256, ()), *beside])
            except HinderedError as hindrance:
                log.warning("attachment_not_taken", reason=hindrance.reason)
                await self.vault.end([one.id], KeptState.RELEASED)
                continue
            self.point("attachment.added")
            gone.append(change.sha256)
        await self.mailboxes.remove(mailbox, gone, sent=True)
        self.point("attachment.removed")

    async def _put_back(self, mailbox: str, one: TakenOut, there: Mapping[str, Sequence[Place]]) -> bool:
        """Put one message to where the changed copies are; tell whether it is there."""
        sha256, record = one.before[1], one.record
        places = there[record.changed]
        try:
            changed = await self.mailboxes.read(mailbox, record.changed)
            texts = {text: await self.vault.get(text) for text in record.contents}
            content = changed and await finished(lambda: restored(changed, record.pieces(texts), sha256))
            if not content:
                return False
            # Those that look alike we have put there ourselves before we were interrupted.
            await self.mailboxes.add(mailbox, content, [*places, *besides(there.get(sha256, ()), places)])
        except (HinderedError, VaultDamagedError) as hindrance:
            log.warning("attachment_not_given_back", kind=type(hindrance).__name__)
            return False
        self.point("attachment.added")
        return True

    async def _recorded(
        self, action: str, change: "_Change", there: Mapping[str, Sequence[Place]], put: list[str], until: datetime
    ) -> Kept:
        """Put what the way back needs into the vault; `put` is told what. Return what is to be written down."""
        judged = change.judged
        original = await finished(lambda: self._original(judged.raw, tuple(there.get(change.sha256, ()))))
        known = await self.vault.of(KIND, [change.item.key])
        begun = [one for one in known if one.action == action and one.state in OURS]
        before = AttachmentRecord.load(begun[0].before).beside if begun else there.get(judged.changed_sha256, ())
        back, texts = inverse(judged.raw, change.cut.pieces), {b"": ""}
        for text in {piece.text for piece in back if piece.text}:
            texts[text] = await self.vault.put(text)
            put.append(texts[text])
        ways = tuple(Way(piece.start, piece.end, texts[piece.text]) for piece in back)
        record = AttachmentRecord(
            original, judged.changed_sha256, change.wanted, change.cut.removed, ways, tuple(before)
        )
        return self._kept(action, change.item, record, until)

    def _cut(self, raw: bytes, wanted: Wanted) -> Judged:
        try:
            cut = self.parser.cutting(raw, wanted)
        except CutError as refusal:
            return Judged(refused=refusal.reason)
        if cut is None:
            return Judged(refused="MESSAGE_UNPARSABLE")
        changed = replaced(raw, cut.pieces)
        return Judged(raw, cut, changed=changed, changed_sha256=hashlib.sha256(changed).hexdigest())

    def _original(self, raw: bytes, places: tuple[Place, ...]) -> QuarantineRecord:
        try:
            headers = self.parser.headers(header_block(raw))
        except UnparsableError:
            headers = None
        return QuarantineRecord(places, headers, self.parser.marks(raw))

    def _kept(self, action: str, item: PlannedItem, record: AttachmentRecord, purge_time: datetime) -> Kept:
        return Kept(
            id=kept_id(action, item.key),
            kind=KIND,
            action=action,
            key=item.key,
            mailbox=item.item.message.mailbox.removeprefix("mailboxes/"),
            item=item.item,
            contents=tuple(sorted(record.contents)),
            before=record.dump(),
            state=KeptState.HELD,
            take_time=self.clock.now(),
            purge_time=purge_time,
        )
