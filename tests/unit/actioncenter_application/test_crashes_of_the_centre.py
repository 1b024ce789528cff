"""The centre dies between any two durable steps, or is restored from an older copy: nothing acknowledged is lost."""

import asyncio
import gc
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from quell.warrant.v1 import warrant_pb2

from center_bench import Bench, block
from virtual_time import in_virtual_time


class CrashError(BaseException):
    """The process ends here."""


class Crashes:
    """Crashes at the n-th pass of a point."""

    def __init__(self, point: str, after: int) -> None:
        """Wait for it."""
        self._point = point
        self._left = after
        self.met = False

    def __call__(self, name: str) -> None:
        """Pass a point."""
        if name == self._point and not self.met:
            self._left -= 1
            if self._left < 0:
                self.met = True
                raise CrashError
        elif self.met:
            # The dead do nothing more.
            raise CrashError


async def work(path: Path, crashes: Crashes) -> tuple[set[str], list[bytes]]:
    """Ask, approve and send until the crash; return what was acknowledged, and the bodies that were sent."""
    bench = Bench(path, crashes)
    acknowledged: set[str] = set()

    async def story() -> None:
        await bench.center.start()
        await bench.settle()
        for number in range(5):
            asked = await bench.create(block(f"https://evil{number}.example/"))
            acknowledged.add((await bench.approve(asked)).name)
            await bench.settle()

    # Whoever waits for the dead waits for ever; what its connection says afterwards nobody hears.
    with suppress(CrashError, TimeoutError, sqlite3.Error):
        await asyncio.wait_for(story(), 60)
    await bench.die()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    del others
    # What the dead were at is told to the log here, and not in the middle of another test's work.
    gc.collect()
    return acknowledged, bench.email.bodies


@pytest.mark.parametrize("point", ["center.decided", "center.committed", "center.sent"])
@pytest.mark.parametrize("after", range(0, 24, 3))
def test_no_acknowledged_approval_is_lost_and_no_body_changes(tmp_path: Path, point: str, after: int) -> None:
    """After the restart each approved action ends; one action never goes out under two bodies."""

    async def story() -> None:
        acknowledged, bodies = await work(tmp_path / "db", Crashes(point, after))
        bench = Bench(tmp_path / "db")
        await bench.center.start()
        await bench.settle(5)
        for name in acknowledged:
            assert (await bench.action(name)).state == 7
        of_action: dict[str, set[bytes]] = {}
        for body in (*bodies, *bench.email.bodies):
            of_action.setdefault(warrant_pb2.Warrant.FromString(body).action, set()).add(body)
        assert all(len(found) == 1 for found in of_action.values())
        await bench.events()
        await bench.close()

    in_virtual_time(story)


def test_a_centre_restored_from_an_older_copy_goes_on_above_what_it_sent(tmp_path: Path) -> None:
    """Its sequences are higher, and the receipt of what it no longer knows is an orphan that harms nothing."""

    async def story() -> None:
        first = Bench(tmp_path / "db")
        await first.center.start()
        await first.settle()
        asked = await first.create(block())
        await first.store.change(lambda _view: None)
        shutil.copy(tmp_path / "db", tmp_path / "old")
        shutil.copy(tmp_path / "db-wal", tmp_path / "old-wal")
        first.email.answer = lambda _warrant: None
        await first.approve(asked)
        await first.settle()
        sent = first.email.warrants[0]
        lost = first.email.carried_out(sent)
        lost.warrant_digest = (await first.action(asked.name)).warrant_digest
        await first.close()

        restored = Bench(tmp_path / "old")
        await restored.center.start()
        await restored.settle()
        assert await restored.states() == ["PENDING_APPROVAL"]
        restored.email.send_receipts(lost)
        await restored.settle()
        assert await restored.states() == ["PENDING_APPROVAL"]
        assert lost.id in restored.email.stored
        approved = await restored.approve(asked)
        assert approved.sequence > sent.sequence
        await restored.settle()
        assert await restored.states() == ["SUCCEEDED"]
        await restored.close()

    in_virtual_time(story)
