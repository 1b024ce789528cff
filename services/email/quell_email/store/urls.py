"""The URLs that are blocked: a durable table, and the matcher that follows each of its commits at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quell_email.domain.blocklist import Blocklist
from quell_email.domain.patterns import pattern_of
from quell_email.domain.urls import CanonicalUrl
from quell_runtime.seams import Clock
from quell_runtime.store import Change, Store, View, table

MIGRATIONS = "quell_email.store"
"""The package with the migrations: `opened(folder, MIGRATIONS, name="urls")`."""


@dataclass(frozen=True)
class BlockedUrl:
    """One pattern in canonical form, the bare id of the action that blocked it, and how many clicks it has stopped."""

    pattern: str
    action: str
    create_time: datetime
    hit_count: int = 0
    last_hit_time: datetime | None = None


BLOCKED = table(BlockedUrl, "blocked_urls", "pattern")


@dataclass(frozen=True, slots=True)
class UrlTable:
    """Opened by `UrlTable.load`. What is committed counts at the next look."""

    store: Store
    clock: Clock
    blocklist: Blocklist
    actions: dict[str, str]

    @classmethod
    async def load(cls, store: Store, clock: Clock) -> "UrlTable":
        """Read what is blocked, and follow what changes."""
        found = cls(store, clock, Blocklist(), {})
        store.listen(found.follow)
        known = await store.select(BLOCKED)
        found.follow([Change(BLOCKED, entry.pattern, None, entry) for entry in known])
        return found

    def match(self, layers: Sequence[CanonicalUrl]) -> tuple[str, str] | None:
        """Return the pattern that blocks one of these URLs, and the action that blocked it."""
        for url in layers:
            pattern = self.blocklist.match(url)
            if pattern is not None:
                return pattern, self.actions[pattern]
        return None

    async def entries(self, patterns: Sequence[str]) -> Mapping[str, BlockedUrl]:
        """Return those of the patterns that are blocked, as they stand in the table and in the matcher."""
        marks = ", ".join("?" for _ in patterns)
        found = await self.store.select(BLOCKED, f"WHERE pattern IN ({marks})", patterns)
        return {entry.pattern: entry for entry in found if entry.pattern in self.blocklist}

    async def all(self) -> Sequence[BlockedUrl]:
        """Return every entry."""
        return await self.store.select(BLOCKED)

    async def block(self, patterns: Sequence[str], action: str) -> None:
        """Block patterns that are not yet."""
        now = self.clock.now()

        def decide(view: View) -> None:
            for pattern in patterns:
                if view.get(BLOCKED, pattern) is None:
                    view.put(BLOCKED, BlockedUrl(pattern, action, now))

        await self.store.change(decide, [(BLOCKED, pattern) for pattern in patterns])

    async def unblock(self, patterns: Sequence[str]) -> None:
        """Let them through again."""

        def decide(view: View) -> None:
            for pattern in patterns:
                view.drop(BLOCKED, pattern)

        await self.store.change(decide, [(BLOCKED, pattern) for pattern in patterns], urgent=True)

    def follow(self, changes: Sequence[Change[Any]]) -> None:
        """Do in the matcher what a commit did in the table."""
        for change in changes:
            pattern = pattern_of(str(change.key))
            if change.after is None:
                self.blocklist.remove(pattern)
                self.actions.pop(str(pattern), None)
            else:
                self.blocklist.add(pattern)
                self.actions[str(pattern)] = change.after.action
