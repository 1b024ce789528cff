"""Scan files by YARA rules, in worker processes, at a share of the processor; it changes nothing."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import aclosing

from quell.remediation.v1 import device_pb2, item_pb2, result_pb2

from quell_agent import files
from quell_agent.scan import Rules, Seen, Workers
from quell_agent.scan_places import files_in, places
from quell_executor.effect import Progress, Reading

USUAL_PERCENT = 50
COUNTED_AT_ONCE = 4096


class RunAntivirusScan:
    """The reader."""

    def __init__(self, rules: Rules) -> None:
        """Scan by these rules."""
        self._rules = rules

    async def read(self, _action: str, order: device_pb2.RunAntivirusScan, progress: Progress) -> Reading:
        """Read every file in scope; each rule that matches one is an item.

        Raises:
            RefusedError: There are no rules that could be used.

        """
        rules = await self._rules.compiled()
        left_out = f"; {len(rules.bad)} rule files left out" if rules.bad else ""
        progress.report(f"counting files{left_out}")
        found = await asyncio.to_thread(places, order)
        total = await _count(files_in(found))
        items: list[item_pb2.ItemOutcome] = []
        read = skipped = 0
        async with aclosing(Workers(rules.path, order.cpu_percent or USUAL_PERCENT).seen(files_in(found))) as answers:
            async for seen in answers:
                read, skipped = read + seen.read, skipped + (not seen.read)
                items += _findings(seen)
                done = read + skipped
                percent = min(99, 100 * done // max(total, 1))
                progress.report(f"{done} of {total} files, {len(items)} findings{left_out}", percent=percent)
        result = result_pb2.ScanResult(scanned_files=read, skipped_files=skipped, signature_version=rules.version)
        return Reading(tuple(items), scan=result)


async def _count(paths: Iterator[str]) -> int:
    """Count by and by, so that it can be cancelled."""
    total = 0
    while some := await asyncio.to_thread(lambda: sum(1 for _ in itertools.islice(paths, COUNTED_AT_ONCE))):
        total += some
    return total


def _findings(seen: Seen) -> list[item_pb2.ItemOutcome]:
    file = item_pb2.FileItem(path=files.shown(seen.path), sha256=seen.sha256, size_bytes=seen.size)
    things = [item_pb2.Item(finding=item_pb2.FindingItem(file=file, signature=rule)) for rule in seen.rules]
    return [item_pb2.ItemOutcome(item=thing, state=item_pb2.ITEM_STATE_DONE) for thing in things]
