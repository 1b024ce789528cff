"""The filter as a part of the email service: its server, the processes that read mail for it, and its watch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

import structlog

from quell_email.domain.mailboxes import Mailboxes
from quell_email.milter.filtering import Blocked, Filter, Rules
from quell_email.milter.serving import serving
from quell_email.milter.watch import Probe, Watch
from quell_email.parsing.parser import Parser
from quell_email.settings import MilterSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the filter rests on. `named`: links tell whose they are; `tell` hears whether the filter works."""

    key: bytes
    named: bool
    blocked: Blocked
    mailboxes: Mailboxes
    tell: Callable[[bool], Awaitable[None]]


@asynccontextmanager
async def running(settings: MilterSettings, around: Surroundings) -> AsyncIterator[int]:
    """Filter mail while inside; gives the port.

    Raises:
        PortTakenError: Somebody else listens there.

    """
    async with AsyncExitStack() as stack:
        parsers = [stack.enter_context(closing(Parser())) for _ in range(settings.readers)]
        rules = Rules(settings.base, around.key, around.named, settings.hold)
        filtered = Filter(rules, around.blocked, parsers)
        port = await stack.enter_async_context(serving(filtered, settings.listen, connections=settings.connections))
        if settings.probe is None:
            log.warning("mail_filter_unwatched")
            yield port
            return
        probe = Probe(settings.probe.mailbox, settings.probe.smtp, settings.probe.every_s, settings.probe.wait_s)
        watching = asyncio.create_task(Watch(around.mailboxes, around.key, probe, around.tell).run())
        try:
            yield port
        finally:
            watching.cancel()
            await asyncio.wait([watching])
