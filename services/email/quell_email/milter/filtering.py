"""What is done to a message at delivery: its links lead by the click endpoint, and a mark tells so."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import Counter

from quell_email.links.writing import rewritten
from quell_email.milter import mark, packets
from quell_email.milter.mark import State
from quell_email.milter.session import Message
from quell_email.parsing.parser import Parser
from quell_runtime.click_links import PATH, link, opened, pseudonym

log = structlog.get_logger()
MESSAGES = Counter("quell_filtered_messages", "Messages that came by the filter, by what became of them", ["state"])
LINKS = Counter("quell_signed_links", "Links that were signed at delivery")
HELD = Counter("quell_held_messages", "Messages that the server was told to hold, since a link in them is blocked")
_ENCODING = "Content-Transfer-Encoding"
Blocked = Callable[[str], str]
"""Returns the pattern that blocks a URL; empty if none does."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How links are made. `base` is where the click endpoint is reached, without a path.

    `named`: links for one recipient alone tell, by a pseudonym, whose they are. `hold`: what has a blocked link in it
    is held by the server, for people to look at.
    """

    base: str
    key: bytes
    named: bool = False
    hold: bool = False


class Filter:
    """Filters messages, one child a message at a time. It never raises: what it can't do passes, and is told."""

    def __init__(self, rules: Rules, blocked: Blocked, parsers: Sequence[Parser]) -> None:
        """Read mail with these."""
        self._rules = rules
        self._blocked = blocked
        self._free: asyncio.Queue[Parser] = asyncio.Queue()
        for parser in parsers:
            self._free.put_nowait(parser)

    async def __call__(self, message: Message) -> bytes:
        """Return the orders for a message."""
        try:
            said, orders, body = await self._filtered(message)
        except Exception:
            log.exception("filter_failed")
            said, orders, body = State.FAILED.value, b"", bytes(message.body)
        MESSAGES.labels(said.partition(";")[0]).inc()
        # Whoever wrote the mail may have put a mark of their own; ours is the only one.
        theirs = sum(name.lower() == mark.HEADER.lower().encode() for name, _ in message.headers)
        strip = b"".join(packets.header(mark.HEADER, "", index=index) for index in range(theirs, 0, -1))
        return strip + orders + packets.header(mark.HEADER, mark.made(self._rules.key, said, body))

    async def _filtered(self, message: Message) -> tuple[str, bytes, bytes]:
        """Return what is said of it, the orders, and the body as it will be."""
        body = bytes(message.body)
        if message.too_large:
            return State.TOO_LARGE.value, b"", body
        raw = message.head + body
        told = await self._read(raw)
        if told is None:
            return State.UNREADABLE.value, b"", body
        found = rewritten(raw, told["parts"], self._links(told["urls"], message.recipients))
        orders = b""
        if found.links:
            body = found.raw[len(message.head) :]
            orders += packets.body(body)
            LINKS.inc(found.links)
        if found.encoding:
            known = any(name.lower() == _ENCODING.lower().encode() for name, _ in message.headers)
            orders += packets.header(_ENCODING, found.encoding, index=1 if known else None)
        left = "".join(f"; {reason}={count}" for reason, count in told["left"].items())
        return f"{State.DONE.value}; links={found.links}{left}", orders + self._held(told["urls"]), body

    async def _read(self, raw: bytes) -> dict[str, Any] | None:
        parser = await self._free.get()
        try:
            return await asyncio.to_thread(parser.links, raw)
        finally:
            self._free.put_nowait(parser)

    def _links(self, urls: Sequence[str], recipients: Sequence[str]) -> list[str | None]:
        rules = self._rules
        who = pseudonym(rules.key, recipients[0]) if rules.named and len(recipients) == 1 else b""
        return [None if self._behind(url) else link(rules.base, rules.key, url, who) for url in urls]

    def _behind(self, url: str) -> str:
        """Return what a link of ours leads to; nobody else can sign one. Empty: it is none."""
        start = self._rules.base + PATH
        found = opened(self._rules.key, url[len(start) :]) if url.startswith(start) else None
        return found.url if found else ""

    def _held(self, urls: Sequence[str]) -> bytes:
        if not self._rules.hold:
            return b""
        pattern = next((found for url in urls if (found := self._blocked(self._behind(url) or url))), "")
        if not pattern:
            return b""
        HELD.inc()
        log.warning("message_held", pattern=pattern)
        return packets.quarantine(f"Quell: a link is blocked by {pattern}")
