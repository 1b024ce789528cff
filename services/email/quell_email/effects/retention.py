"""What was taken is kept for a time, and then purged: nobody puts it back any more."""

import asyncio
from datetime import datetime, timedelta

import structlog

from quell_email.domain.mailboxes import Mailboxes
from quell_executor.effect import RefusedError
from quell_runtime.seams import Clock

log = structlog.get_logger()
EVERY = timedelta(hours=1)


class Retention:
    """Purges, mailbox by mailbox, a batch at a time."""

    def __init__(self, mailboxes: Mailboxes, clock: Clock, keep: timedelta) -> None:
        """Keep messages for a time after they were taken."""
        self._mailboxes = mailboxes
        self._clock = clock
        self._keep = keep

    async def run(self) -> None:
        """Purge every hour, until cancelled."""
        while True:
            try:
                await self.purge()
            except Exception:
                log.exception("retention_failed")
            await asyncio.sleep(EVERY.total_seconds())

    async def purge(self) -> None:
        """Purge all that is due now. One mailbox that can't be worked on is no reason to pass over the others."""
        before = self._clock.now() - self._keep
        for mailbox in sorted(await self._mailboxes.addresses()):
            try:
                await self._purge(mailbox, before)
            except (OSError, RefusedError) as error:
                log.warning("not_purged", error=str(error))

    async def _purge(self, mailbox: str, before: datetime) -> None:
        while number := await self._mailboxes.purge(mailbox, before):
            log.info("messages_purged", number=number, before=before.isoformat())
