"""A hostile gateway says what makes no sense: the agent goes on, since what is in force here must end in its time."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from quell.executor.v1 import executor_service_pb2

from center_bench import SeededRng
from kit_house import DEPLOYMENT, Center, House, Wire
from quell_agent.talker.link import Link
from quell_executor.transport import ProtocolUnsupportedError
from quell_runtime.addresses import Address
from virtual_time import in_virtual_time


class Cursed(Link):
    """A link whose streams end in an error that nobody thought of."""

    def __init__(self) -> None:
        """Link nothing."""
        certificate = cast("Any", SimpleNamespace(over=False))
        super().__init__(Address("gateway", 1), [], certificate, cast("Any", None), SeededRng())
        self.tried = 0

    async def _once(self) -> None:
        self.tried += 1
        raise OverflowError("int too large")


def test_the_link_outlives_any_stream() -> None:
    """It waits, and dials again."""

    async def story() -> None:
        link = Cursed()
        running = asyncio.create_task(link.run())
        await asyncio.sleep(300)
        assert not running.done()
        assert link.tried > 5
        running.cancel()

    in_virtual_time(story)


async def test_a_start_that_no_journal_can_hold_is_refused(tmp_path: Path) -> None:
    """It is no error of the store, which would fail what others write at the same time."""
    kit = House(tmp_path)
    await kit.move_in()
    wire = Wire(Center(kit.clock))
    hello = executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=1 << 63)
    wire.down.put_nowait(executor_service_pb2.WorkRequest(hello=hello).SerializeToString())
    with pytest.raises(ProtocolUnsupportedError):
        await kit.executor.serve(wire)
    await kit.crash()
