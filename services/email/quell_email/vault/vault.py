"""The vault: contents under lock, and a durable record of each thing that is kept, which needs no journal.

Who takes a thing away puts its bytes here first (`put`), then records it (`keep`), and only then removes it elsewhere.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from quell_email.vault.contents import Contents
from quell_email.vault.records import KEPT, OURS, Kept, KeptState
from quell_runtime.data_keys import DataKeys
from quell_runtime.locked import VaultDamagedError
from quell_runtime.seams import Clock, Point, micros, nowhere
from quell_runtime.store import Store, View
from quell_runtime.store.connection import Query
from quell_runtime.store.opening import opened

MIGRATIONS = "quell_email.vault"
HOLDER = "email"
BATCH = 100
EVERY_S = 3600.0
log = structlog.get_logger()
_OURS = ", ".join(f"'{state}'" for state in OURS)
_DUE = f"SELECT id FROM kept WHERE state IN ({_OURS}) AND purge_time <= ? ORDER BY purge_time"  # noqa: S608 - ours
_REFERENCED = f"SELECT DISTINCT value FROM kept, json_each(kept.contents) WHERE state IN ({_OURS})"  # noqa: S608 - ours


class Vault:
    """Opened by `opened_vault`."""

    def __init__(self, store: Store, contents: Contents, clock: Clock) -> None:
        """Keep records in the store, and bytes among the contents."""
        self.store = store
        self._contents = contents
        self._clock = clock
        self._dropping = asyncio.Lock()
        self._fresh: Counter[str] = Counter()
        """What was put and is in no record yet."""
        self._leaving: Counter[str] = Counter()
        """Records of what is being given back."""

    async def put(self, content: bytes) -> str:
        """Store bytes durably, once however often; return their SHA-256. A `keep` must follow, or an `abandon`.

        Raises:
            OSError: They can't be stored.

        """
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
        await self.expect((sha256,))
        try:
            await asyncio.to_thread(self.write, sha256, content)
            await self.sync()
        except BaseException:
            self.abandon((sha256,))
            raise
        return sha256

    async def expect(self, digests: Collection[str]) -> None:
        """Begin to `put` many: `write` for each, then `sync`; then a `keep` must follow, or an `abandon`."""
        async with self._dropping:
            self._fresh.update(digests)

    def write(self, sha256: str, content: bytes) -> None:
        """Store bytes that are expected. It blocks: call it in a worker thread.

        Raises:
            OSError: They can't be stored.

        """
        self._contents.write(sha256, content)

    async def sync(self) -> None:
        """Make durable what was written."""
        await asyncio.to_thread(self._contents.sync)

    def read(self, sha256: str) -> bytes | None:
        """Return bytes, or None if they can't be given. It blocks: call it in a worker thread."""
        try:
            return self._contents.read(sha256)
        except VaultDamagedError:
            log.warning("content_damaged", sha256=sha256)
            return None

    async def get(self, sha256: str) -> bytes:
        """Return bytes.

        Raises:
            VaultDamagedError: They are not there, or not what was put there.

        """
        return await asyncio.to_thread(self._contents.read, sha256)

    async def has(self, digests: Collection[str]) -> set[str]:
        """Return those of these that lie here; whether they open, only `get` tells."""
        return await asyncio.to_thread(self._contents.among, digests)

    async def keep(self, records: Sequence[Kept]) -> None:
        """Write records durably, new ones or instead of those of the same id; their contents were `put` just before."""

        def decide(view: View) -> None:
            for record in records:
                view.put(KEPT, record)

        # It may be what lets mail be put away that harms: it may use the last room.
        await self.store.change(decide, urgent=True)
        self._known(sha256 for record in records for sha256 in record.contents)

    def abandon(self, digests: Iterable[str]) -> None:
        """Take back that these were `put`; what no record names goes at the next start."""
        self._known(digests)

    async def settle(self, ids: Collection[str]) -> None:
        """Write down durably that the vault alone has these now."""
        await self.store.change(lambda view: _moved(view, ids, KeptState.HELD, None), urgent=True)

    async def end(self, ids: Collection[str], state: KeptState) -> None:
        """Write down durably that these were released or purged, and let bytes go that nothing kept needs any more."""
        async with self._dropping:
            await self._end(ids, state)

    @asynccontextmanager
    async def giving_back(self, kind: str, keys: Collection[str]) -> AsyncIterator[list[Kept]]:
        """Give what the vault has under these item keys, the oldest first; none of it is purged meanwhile."""
        async with self._dropping:
            records = [record for record in await self.of(kind, keys) if record.state in OURS]
            ids = [record.id for record in records]
            self._leaving.update(ids)
        try:
            yield records
        finally:
            self._leaving -= Counter(ids)

    async def of(self, kind: str, keys: Collection[str]) -> list[Kept]:
        """Return all records of a kind under these item keys, the oldest first."""
        tail = 'WHERE kind = ? AND "key" IN (SELECT value FROM json_each(?)) ORDER BY take_time, "key"'
        return await self.store.select(KEPT, tail, (kind, json.dumps(sorted(keys))))

    async def held(self, kind: str) -> list[Kept]:
        """Return what the vault has of a kind now."""
        tail = f'WHERE kind = ? AND state IN ({_OURS}) ORDER BY take_time, "key"'
        return await self.store.select(KEPT, tail, (kind,))

    async def purge(self) -> int:
        """Do away for good with what was kept for its time; return how many."""
        (rows,) = await self.store.read([Query(_DUE, (micros(self._clock.now()),))])
        due = [str(one) for (one,) in rows]
        number = 0
        for start in range(0, len(due), BATCH):
            async with self._dropping:
                ids = [one for one in due[start : start + BATCH] if self._leaving[one] <= 0]
                number += await self._end(ids, KeptState.PURGED)
        return number

    async def run(self) -> None:
        """Purge every hour, until cancelled."""
        while True:
            try:
                if number := await self.purge():
                    log.info("vault_purged", number=number)
            except Exception:
                log.exception("vault_not_purged")
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Delete what a crash left behind, before anything else is done here."""
        (rows,) = await self.store.read([Query(_REFERENCED)])
        names = await asyncio.to_thread(self._contents.names)
        await asyncio.to_thread(self._contents.drop, names - {str(value) for (value,) in rows})

    async def _end(self, ids: Collection[str], state: KeptState) -> int:
        now = self._clock.now()
        moved = await self.store.change(lambda view: _moved(view, ids, state, now), urgent=True)
        await self._drop({sha256 for record in moved for sha256 in record.contents})
        return len(moved)

    async def _drop(self, digests: Collection[str]) -> None:
        among = f"{_REFERENCED} AND value IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours
        (rows,) = await self.store.read([Query(among, (json.dumps(sorted(digests)),))])
        needed = {str(value) for (value,) in rows} | {sha256 for sha256 in digests if self._fresh[sha256] > 0}
        await asyncio.to_thread(self._contents.drop, set(digests) - needed)

    def _known(self, digests: Iterable[str]) -> None:
        for sha256 in digests:
            self._fresh[sha256] -= 1
            if self._fresh[sha256] <= 0:
                del self._fresh[sha256]


def _moved(view: View, ids: Collection[str], state: KeptState, end_time: datetime | None) -> list[Kept]:
    """Move what the vault has to another state; return it."""
    view.expect((KEPT, one) for one in ids)
    records = [record for one in ids if (record := view.get(KEPT, one)) and record.state in OURS]
    for record in records:
        view.put(KEPT, replace(record, state=state, end_time=end_time))
    return records


@asynccontextmanager
async def opened_vault(folder: Path, keys: DataKeys, clock: Clock, point: Point = nowhere) -> AsyncIterator[Vault]:
    """Open the vault in a folder, for this process alone."""
    async with opened(folder, MIGRATIONS, name="vault", point=point) as store:
        vault = Vault(store, Contents(folder / "contents", keys, point), clock)
        await vault.sweep()
        yield vault
