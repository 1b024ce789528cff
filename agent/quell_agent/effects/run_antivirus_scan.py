"""Scan files by YARA rules, and by clamd where it runs, at a share of the processor; it changes nothing."""

import asyncio
import itertools
import pwd
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from functools import lru_cache

from quell.remediation.v1 import device_pb2, item_pb2, result_pb2

from quell_agent import files, scan_clamd
from quell_agent.scan import Compiled, Hit, Rules, Seen
from quell_agent.scan_breaker import Breaker, Intact
from quell_agent.scan_places import files_in, places
from quell_agent.scan_workers import Workers
from quell_executor.effect import Progress, Reading

USUAL_PERCENT = 50
COUNTED_AT_ONCE = 4096
LEFT_OUT_AT_MOST = 100


class RunAntivirusScan:
    """The reader."""

    def __init__(self, rules: Rules, clamd: tuple[str, ...] = scan_clamd.SOCKETS) -> None:
        """Scan by these rules, and by a clamd that listens at one of these sockets."""
        self._rules = rules
        self._clamd = clamd

    async def read(self, _action: str, order: device_pb2.RunAntivirusScan, progress: Progress) -> Reading:
        """Read every file in scope; each rule that matches one is an item.

        Raises:
            RefusedError: There are no rules that could be used.

        """
        rules = await self._rules.compiled()
        socket, version = await scan_clamd.found(self._clamd)
        left_out = f"; {len(rules.bad)} rule files left out" if rules.bad else ""
        progress.report(f"counting files{left_out}")
        found = await asyncio.to_thread(places, order)
        async with Workers(rules.path, order.cpu_percent or USUAL_PERCENT, socket) as workers:
            # They load the rules while the files are counted.
            scan = _Scan(rules, version, await _count(files_in(found)))
            async with aclosing(workers.seen(files_in(found))) as answers:
                async for seen in answers:
                    await scan.take(seen)
                    percent = min(99, 100 * scan.done // max(scan.total, 1))
                    said = f"{scan.done} of {scan.total} files, {scan.findings} findings{left_out}"
                    progress.report(said, percent=percent)
        return scan.reading()


class _Scan:
    """What one scan has come to so far."""

    def __init__(self, rules: Compiled, clamd_version: str, total: int) -> None:
        self.total = total
        self._rules = rules
        self._clamd_version = clamd_version
        self._breaker = Breaker(total, Intact())
        self._found: dict[str, list[item_pb2.ItemOutcome]] = {}
        self._read = self._skipped = self._cut = self._unasked = 0

    @property
    def done(self) -> int:
        """How many files were looked at."""
        return self._read + self._skipped

    @property
    def findings(self) -> int:
        """How many there are of signatures that count."""
        return sum(map(len, self._found.values()))

    async def take(self, seen: Seen) -> None:
        """Add what was seen of a file."""
        self._read, self._skipped = self._read + seen.read, self._skipped + (not seen.read)
        self._cut, self._unasked = self._cut + seen.cut, self._unasked + (seen.read and not seen.asked)
        if seen.hits:
            # It may have to read the file, and lists of packages.
            for hit in await asyncio.to_thread(self._breaker.counting, seen):
                self._found.setdefault(hit.rule, []).append(_finding(seen, hit))
            for rule in self._breaker.tripped:
                self._found.pop(rule, None)

    def reading(self) -> Reading:
        """Return what it came to."""
        result = result_pb2.ScanResult(
            scanned_files=self._read,
            skipped_files=self._skipped,
            signature_version=self._rules.version,
            clamd_version=self._clamd_version,
            left_out=self._left_out(),
            cut_archives=self._cut,
        )
        return Reading(tuple(itertools.chain.from_iterable(self._found.values())), scan=result)

    def _left_out(self) -> Sequence[result_pb2.LeftOut]:
        found = {**self._breaker.tripped, **self._rules.bad}
        if self._unasked:
            found = {"clamd": f"it could not tell of {self._unasked} files", **found}
        named = [result_pb2.LeftOut(name=name, reason=reason) for name, reason in found.items()]
        return named[:LEFT_OUT_AT_MOST]


async def _count(paths: Iterator[str]) -> int:
    """Count by and by, so that it can be cancelled."""
    total = 0
    while some := await asyncio.to_thread(lambda: sum(1 for _ in itertools.islice(paths, COUNTED_AT_ONCE))):
        total += some
    return total


def _finding(seen: Seen, hit: Hit) -> item_pb2.ItemOutcome:
    file = item_pb2.FileItem(path=files.shown(seen.path), sha256=seen.sha256, size_bytes=seen.size)
    finding = item_pb2.FindingItem(
        file=file, signature=hit.rule, member=hit.member, owner=_name(seen.owner), engine=hit.engine
    )
    return item_pb2.ItemOutcome(item=item_pb2.Item(finding=finding), state=item_pb2.ITEM_STATE_DONE)


@lru_cache(maxsize=1024)
def _name(user: int) -> str:
    """Return a user's name, or the number if it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
