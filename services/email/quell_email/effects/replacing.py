"""Putting a changed message in the place of another, and back: what is needed for the way back goes first.

Each step is durable before the next: the pieces, their record, the new copies, and only then the old ones are removed.
Broken off anywhere, doing it again comes to the same end, and no copy is lost.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from quell_email.domain.attachments import CutError, Wanted
from quell_email.domain.cutting import Cutting
from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Mailboxes, Place, besides
from quell_email.domain.mime import UnparsableError, header_block
from quell_email.domain.splice import inverse, replaced, restored
from quell_email.effects.attachment_record import AttachmentRecord, Way
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
class Replacing:
    """How messages are changed, one at a time."""

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

    async def take(self, action: str, item: PlannedItem, wanted: Wanted, purge_time: datetime) -> None:
        """Put the changed message in the place of all copies of one; what can't be changed is left."""
        message = item.item.message
        mailbox = message.mailbox.removeprefix("mailboxes/")
        judged = await self.judge(mailbox, message.sha256, wanted)
        if not judged.cut or not judged.cut.removed:
            return
        record = await self._recorded(action, item, judged, wanted)
        kept = self._kept(action, item, record, purge_time)
        try:
            await self.vault.keep([kept])
        except BaseException:
            self.vault.abandon(record.contents)
            raise
        self.point("attachment.kept")
        try:
            await self._exchange(mailbox, message.sha256, judged.changed, record.beside)
        except HinderedError as hindrance:
            log.warning("attachment_not_taken", reason=hindrance.reason)
            await self.vault.end([kept.id], KeptState.RELEASED)

    async def give_back(self, mailbox: str, item: PlannedItem) -> None:
        """Put a message back as it was, wherever the changed one is; what hinders it leaves it as it is."""
        async with self.vault.giving_back(KIND, [item.key]) as kept:
            for one in kept:
                try:
                    done = await self._given_back(mailbox, one)
                except (HinderedError, VaultDamagedError) as hindrance:
                    log.warning("attachment_not_given_back", kind=type(hindrance).__name__)
                    continue
                if done:
                    await self.vault.end([one.id], KeptState.RELEASED)

    async def _given_back(self, mailbox: str, kept: Kept) -> bool:
        """Put one message back; tell whether it is back."""
        record, sha256 = AttachmentRecord.load(kept.before), kept.item.message.sha256
        changed = await self.mailboxes.read(mailbox, record.changed)
        if changed is None:
            return sha256 in (await self.mailboxes.look(mailbox, [sha256], sent=True)).visible
        texts = {text: await self.vault.get(text) for text in record.contents}
        content = await finished(lambda: restored(changed, record.pieces(texts), sha256))
        if content is None:
            raise VaultDamagedError("it does not lead back")
        there = await self.mailboxes.places(mailbox, [record.changed, sha256], sent=True)
        # Those that look alike we have put there ourselves before we were interrupted.
        beside = besides(there.get(sha256, ()), there.get(record.changed, ()))
        await self._exchange(mailbox, record.changed, content, beside)
        return True

    async def _exchange(self, mailbox: str, old: str, content: bytes, beside: Sequence[Place]) -> None:
        """Put a message in the place of each copy of another, besides copies of it that have nothing to do with it."""
        places = (await self.mailboxes.places(mailbox, [old], sent=True)).get(old, ())
        await self.mailboxes.add(mailbox, content, [*places, *beside])
        self.point("attachment.added")
        await self.mailboxes.remove(mailbox, [old], sent=True)
        self.point("attachment.removed")

    async def _recorded(self, action: str, item: PlannedItem, judged: Judged, wanted: Wanted) -> AttachmentRecord:
        """Put what the way back needs into the vault, and return what is to be written down."""
        assert judged.cut is not None  # noqa: S101 - asked before
        message, changed = item.item.message, judged.changed_sha256
        mailbox = message.mailbox.removeprefix("mailboxes/")
        there = await self.mailboxes.places(mailbox, [message.sha256, changed], sent=True)
        original = await finished(lambda: self._original(judged.raw, tuple(there.get(message.sha256, ()))))
        begun = [one for one in await self.vault.of(KIND, [item.key]) if one.action == action and one.state in OURS]
        beside = AttachmentRecord.load(begun[0].before).beside if begun else tuple(there.get(changed, ()))
        back = inverse(judged.raw, judged.cut.pieces)
        texts = await self._put({piece.text for piece in back if piece.text})
        ways = tuple(Way(piece.start, piece.end, texts.get(piece.text, "")) for piece in back)
        return AttachmentRecord(original, changed, wanted, judged.cut.removed, ways, beside)

    async def _put(self, texts: Collection[bytes]) -> dict[bytes, str]:
        put: dict[bytes, str] = {}
        try:
            for text in texts:
                put[text] = await self.vault.put(text)
        except BaseException:
            self.vault.abandon(put.values())
            raise
        return put

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
