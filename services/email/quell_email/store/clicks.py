"""What is known of clicks afterwards: how often each entry has held, and, where the operator wants it, each click.

A click waits for no disk: what it leaves is written together with others', within a second. A crash loses that second.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto

import structlog
from prometheus_client import Counter as Metric
from quell.email.v1 import url_service_pb2

from quell_email.store.urls import BLOCKED
from quell_runtime.click_links import pseudonym
from quell_runtime.seams import Clock, micros
from quell_runtime.store import Store, View, table

log = structlog.get_logger()
CLICKED = Metric("quell_clicks", "Clicks that were answered, by the answer", ["answer"])
LOST = Metric("quell_lost_clicks", "Clicks that were answered and not logged, since too many came at once")
EVERY_S = 1.0
WAITING = 20_000
"""How many clicks wait to be written; more in a second are counted as lost."""
PURGED = 1000
"""How many old clicks are deleted at once."""
PURGE_EVERY = timedelta(hours=1)


class Keep(StrEnum):
    """How much is kept of clicks. No address of a machine and no browser's name, ever."""

    OFF = auto()
    """Nothing."""
    COUNTS = auto()
    """How often each entry has held, and when last."""
    HASHED = auto()
    """Each click besides; whose link it was as a pseudonym, which only who has the key can tell."""
    FULL = auto()
    """Each click besides, and whose link it was."""

    @property
    def named(self) -> bool:
        """Whether links have to tell whose they are."""
        return self in (Keep.HASHED, Keep.FULL)


class Answer(StrEnum):
    """What a click came to."""

    ALLOWED = auto()
    BLOCKED = auto()
    INVALID = auto()


ANSWERS: Mapping[int, Answer] = {
    url_service_pb2.URL_ANSWER_ALLOWED: Answer.ALLOWED,
    url_service_pb2.URL_ANSWER_BLOCKED: Answer.BLOCKED,
    url_service_pb2.URL_ANSWER_INVALID: Answer.INVALID,
}


@dataclass(frozen=True)
class Click:
    """One click. `url` is canonical; `recipient` an address, a pseudonym, or empty where nobody can tell."""

    id: int
    click_time: datetime
    url: str
    answer: Answer
    pattern: str
    action: str
    recipient: str


CLICKS = table(Click, "clicks", "id")
Addresses = Callable[[], Awaitable[Collection[str]]]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of clicks, and how long. `key` makes the pseudonyms; `waiting` is how many wait to be written."""

    keep: Keep = Keep.COUNTS
    days: int = 30
    key: bytes = b""
    waiting: int = WAITING


class Clicks:
    """Notes clicks, and writes what is to be kept."""

    def __init__(self, store: Store, clock: Clock, keeping: Keeping, addresses: Addresses) -> None:
        """Keep so much there; `addresses` of mailboxes tell whose a pseudonym is."""
        self.store = store
        self._clock = clock
        self._keeping = keeping
        self._addresses = addresses
        self._waiting: list[tuple[datetime, url_service_pb2.UrlCheck, bytes]] = []
        self._names: dict[bytes, str] = {}
        self._last = 0

    def note(self, found: url_service_pb2.UrlCheck, who: bytes) -> None:
        """Note what a click came to; `who` as the link tells."""
        CLICKED.labels(ANSWERS[found.answer].value).inc()
        kept = self._keeping.keep.named or found.answer == url_service_pb2.URL_ANSWER_BLOCKED
        if self._keeping.keep is Keep.OFF or not kept:
            return
        if len(self._waiting) >= self._keeping.waiting:
            LOST.inc()
            return
        self._waiting.append((self._clock.now(), found, who))

    async def run(self) -> None:
        """Write every second, and delete what is old every hour, until cancelled."""
        purge_time = self._clock.now()
        while True:
            try:
                await self.flush()
                if self._clock.now() >= purge_time:
                    purge_time = self._clock.now() + PURGE_EVERY
                    await self.purge()
            except Exception:
                log.exception("clicks_not_written")
            await asyncio.sleep(EVERY_S)

    async def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        hits = Counter(found.pattern for _, found, _ in waiting if found.pattern)
        last = {found.pattern: time for time, found, _ in waiting}
        await self._recognise({who for _, _, who in waiting if who})
        clicks = [self._click(*each) for each in waiting] if self._keeping.keep.named else []

        def decide(view: View) -> None:
            for pattern, count in hits.items():
                entry = view.get(BLOCKED, pattern)
                if entry is not None:
                    total = entry.hit_count + count
                    view.put(BLOCKED, replace(entry, hit_count=total, last_hit_time=last[pattern]))
            for click in clicks:
                view.put(CLICKS, click)

        await self.store.change(decide, [(BLOCKED, pattern) for pattern in hits])

    async def purge(self) -> None:
        """Delete the clicks that have been kept as long as they are to be."""
        before = micros(self._clock.now() - timedelta(days=self._keeping.days))
        while old := await self.store.select(CLICKS, f"WHERE click_time < ? LIMIT {PURGED}", (before,)):
            ids = [click.id for click in old]

            def decide(view: View, ids: list[int] = ids) -> None:
                for each in ids:
                    view.drop(CLICKS, each)

            await self.store.change(decide, [(CLICKS, each) for each in ids], urgent=True)

    async def _recognise(self, pseudonyms: set[bytes]) -> None:
        """Learn whose pseudonyms are, where that is to be kept."""
        if self._keeping.keep is Keep.FULL and not pseudonyms <= self._names.keys():
            key = self._keeping.key
            known = {pseudonym(key, address): address for address in await self._addresses()}
            # One that nobody has, such as an alias's, is not looked for again.
            self._names |= {who: known.get(who, "") for who in pseudonyms}

    def _click(self, time: datetime, found: url_service_pb2.UrlCheck, who: bytes) -> Click:
        self._last = max(self._last + 1, micros(time))
        recipient = self._names.get(who) or who.hex()
        action = found.action.removeprefix("actions/")
        url, answer = found.canonical_url, ANSWERS[found.answer]
        return Click(self._last, time, url, answer, found.pattern, action, recipient)
