"""A page of what waits for people, among a history of a million actions, as ListActions reads it."""

import sqlite3
import statistics
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import email_pb2, remediation_pb2

from quell_actioncenter.api import resources
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import Listing, order_of
from quell_runtime.seams import stamp
from quell_runtime.store.opening import migrate, opened

START = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = 200
LOOKS = 50


async def page(rows: int) -> float:
    """Return the median seconds of a page of 50 with its total, among so many actions of which 200 wait."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "center.db"
        migrate(path, "quell_actioncenter.store")
        _fill(path, rows)
        return await _looked(Path(folder))


def _fill(path: Path, rows: int) -> None:
    database = sqlite3.connect(path)
    step = rows // PENDING
    rows_of = (ACTIONS.write(None, _action(number, waits=number % step == 0)) for number in range(rows))
    database.executemany(ACTIONS.upsert, (values for _, values in rows_of))
    database.commit()
    database.close()


def _action(number: int, *, waits: bool) -> ActionRecord:
    state = action_pb2.ACTION_STATE_PENDING_APPROVAL if waits else action_pb2.ACTION_STATE_SUCCEEDED
    asked = START + timedelta(seconds=number)
    order = email_pb2.BlockUrl(pattern=f"https://{number}.example.net/x")
    shown = action_pb2.Action(
        name=f"actions/{uuid.UUID(int=number)}",
        remediation=remediation_pb2.Remediation(block_url=order),
        state=state,
        create_time=stamp(asked),
    )
    return ActionRecord(
        name=shown.name,
        action=shown,
        state=state,
        kind="block_url",
        plane="email",
        device="",
        target=order.pattern,
        investigation="",
        equal_key="",
        content=b"",
        fate="",
        create_time=asked,
        update_time=asked,
        etag_time=asked,
        due_time=None,
        last_event=number,
    )


async def _looked(folder: Path) -> float:
    fields = resources.ACTION
    wanted = Listing(
        ACTIONS, parse("state = PENDING_APPROVAL", fields), order_of("", fields, "create_time desc", fields["name"])
    )
    async with opened(folder, "quell_actioncenter.store", name="center") as store:
        took = []
        for _ in range(LOOKS):
            begin = time.perf_counter()
            records, _ = await wanted.page(store, 50, "")
            total = await wanted.total(store)
            took.append(time.perf_counter() - begin)
            assert (len(records), total) == (50, PENDING)  # noqa: S101 - else another list was measured
        return statistics.median(took)
