"""Looking into the messages of one mailbox for an attachment: what is to be done to each, or why nothing is."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quell_email.domain.attachments import CutError, Wanted
from quell_email.domain.cutting import Cutting
from quell_email.domain.mailboxes import Mailboxes
from quell_email.domain.splice import replaced
from quell_email.effects.findings import UNPARSABLE
from quell_email.parsing.parser import Parser

TOO_LARGE = "MESSAGE_TOO_LARGE"
MAX_BYTES = 64 << 20
"""Of a message that is looked into."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A message, how it is cut, and what it becomes; or `refused`, in upper snake case."""

    raw: bytes = field(default=b"", repr=False)
    cut: Cutting = field(default_factory=Cutting)
    refused: str = ""
    changed: bytes = field(default=b"", repr=False)
    changed_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Judging:
    """Reads mailboxes, and changes nothing."""

    mailboxes: Mailboxes
    parser: Parser

    async def each(self, mailbox: str, wanted: Mapping[str, Wanted], take: Callable[[str, Judged], None]) -> None:
        """Have `take` called, in a worker thread, with each message that is in sight, by its digest.

        Raises:
            RefusedError: The mailbox can't be reached.

        """
        read = set()

        def look(sha256: str, raw: bytes) -> None:
            read.add(sha256)
            take(sha256, self._judged(raw, wanted[sha256]))

        await self.mailboxes.read_each(mailbox, wanted.keys(), look)
        if left := wanted.keys() - read:
            for sha256 in await self.mailboxes.places(mailbox, left, sent=True):
                take(sha256, Judged(refused=TOO_LARGE))

    def _judged(self, raw: bytes, wanted: Wanted) -> Judged:
        if len(raw) > MAX_BYTES:
            return Judged(refused=TOO_LARGE)
        try:
            cut = self.parser.cutting(raw, wanted)
        except CutError as refusal:
            return Judged(refused=refusal.reason)
        if cut is None:
            return Judged(refused=UNPARSABLE)
        changed = replaced(raw, cut.pieces)
        return Judged(raw, cut, changed=changed, changed_sha256=hashlib.sha256(changed).hexdigest())
