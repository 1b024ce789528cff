"""The watch over the filter. A mail server that can't reach it lets mail through, so its silence has to be noticed.

Now and then a message with a link goes the way of all mail, and is looked at where it was delivered: the mark has to be
there, and the link has to be ours. So the whole way is tried, not whether some process is alive.
"""

import asyncio
import secrets
import smtplib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum, auto

import structlog
from prometheus_client import Gauge

from quell_email.domain.facts import normal_subject
from quell_email.domain.mailboxes import Found, Mailboxes
from quell_email.domain.mime import UnparsableError
from quell_email.domain.selection import Criterion
from quell_email.milter import mark
from quell_runtime.addresses import Address

log = structlog.get_logger()
WORKS = Gauge("quell_mail_filter_works", "Whether the last probe was delivered with its link signed: 1, else 0")
SUBJECT = "Quell: does the mail filter work?"
SMTP_S = 30.0
LOOK_S = 0.5


class Sight(StrEnum):
    """What a look found."""

    WORKS = auto()
    NOT_SENT = auto()
    """The mail server did not take the probe."""
    NOT_DELIVERED = auto()
    """It took it, and no mailbox has it."""
    NOT_FILTERED = auto()
    """It was delivered as it was: mail goes by without the filter, and links lead where they lead."""
    NOT_SEEN = auto()
    """Nobody can tell: the look itself failed."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Where a probe goes: handed to `smtp`, for a mailbox of its own; how often, and how long it may take."""

    mailbox: str
    smtp: Address
    every_s: float = 300
    wait_s: float = 60


class Watch:
    """Looks, and tells who is to know."""

    def __init__(self, mailboxes: Mailboxes, key: bytes, probe: Probe, tell: Callable[[bool], Awaitable[None]]) -> None:
        """Look for probes there; `tell` is called after each look with whether the filter works."""
        self._mailboxes = mailboxes
        self._key = key
        self._probe = probe
        self._tell = tell

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                sight = await self.look()
            except Exception:
                log.exception("probe_failed")
                sight = Sight.NOT_SEEN
            WORKS.set(sight is Sight.WORKS)
            if sight is not Sight.WORKS:
                log.error("mail_filter_dead", sight=sight.value)
            await self._tell(sight is Sight.WORKS)
            await asyncio.sleep(self._probe.every_s)

    async def look(self) -> Sight:
        """Send a probe, and say how it was delivered. It is deleted then, with those that came too late before."""
        message_id = f"{secrets.token_hex(12)}@probe.quell.invalid"
        try:
            await asyncio.to_thread(self._send, message_id)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("probe_not_taken", problem=type(error).__name__)
            return Sight.NOT_SENT
        raw = await self._delivered(message_id)
        await self._clean()
        if raw is None:
            return Sight.NOT_DELIVERED
        try:
            filtered = mark.read(self._key, raw) == f"{mark.State.DONE.value}; links=1"
        except UnparsableError:
            filtered = False
        return Sight.WORKS if filtered else Sight.NOT_FILTERED

    def _send(self, message_id: str) -> None:
        message = EmailMessage()
        message["From"] = message["To"] = self._probe.mailbox
        message["Subject"] = SUBJECT
        message["Message-ID"] = f"<{message_id}>"
        message.set_content(f"https://{message_id.partition('@')[0]}.probe.quell.invalid/\n")
        with smtplib.SMTP(self._probe.smtp.host, self._probe.smtp.port, timeout=SMTP_S) as server:
            server.sendmail("", [self._probe.mailbox], message.as_bytes())

    async def _delivered(self, message_id: str) -> bytes | None:
        try:
            async with asyncio.timeout(self._probe.wait_s):
                while True:
                    for found in await self._find(Criterion(message_id=message_id)):
                        if raw := await self._mailboxes.read(self._probe.mailbox, found.sha256):
                            return raw
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return None

    async def _clean(self) -> None:
        found = await self._find(Criterion(subject=normal_subject(SUBJECT)))
        if digests := {each.sha256 for each in found if not each.undecided}:
            await self._mailboxes.remove(self._probe.mailbox, digests, sent=False)

    async def _find(self, wanted: Criterion) -> list[Found]:
        return list(await self._mailboxes.find(self._probe.mailbox, [wanted], sent=False))
