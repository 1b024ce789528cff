"""Pages: together they are the whole list, each record once, at a cost that history does not change."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from quell.remediation.v1 import failure_pb2, item_pb2

from kept_actions import PENDING, QUEUED, action, keep, name_of
from quell_actioncenter.api import items, resources
from quell_actioncenter.domain.records import ActionRecord, ItemChunkRecord
from quell_actioncenter.store.tables import ACTIONS, ITEM_CHUNKS
from quell_runtime.listing.filters import FilterInvalidError, parse
from quell_runtime.listing.paging import (
    LARGEST,
    Listing,
    OrderInvalidError,
    PageTokenInvalidError,
    encode,
    order_of,
    size_of,
)
from quell_runtime.store import SqlValue, Store, View
from quell_runtime.store.connection import Query
from quell_runtime.store.opening import opened

FIELDS = resources.ACTION
COUNT = 57


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Return a store with actions; three at a time were asked for at the same moment."""
    async with opened(tmp_path, "quell_actioncenter.store", name="center") as found:
        kept = [action(number, QUEUED if number % 4 else PENDING) for number in range(COUNT)]
        await keep(found, [replace(one, create_time=kept[n // 3 * 3].create_time) for n, one in enumerate(kept)])
        yield found


def listing(text: str = "", order: str = "") -> Listing[ActionRecord]:
    """Return a list of actions."""
    return Listing(ACTIONS, parse(text, FIELDS), order_of(order, FIELDS, "create_time desc", FIELDS["name"]))


async def all_of(store: Store, wanted: Listing[ActionRecord], size: int) -> list[str]:
    """Return the names on all pages."""
    records, token = await wanted.page(store, size, "")
    names = [record.name for record in records]
    while token:
        assert len(records) == size
        records, token = await wanted.page(store, size, token)
        names += [record.name for record in records]
    return names


@pytest.mark.parametrize("size", [1, 3, 7, COUNT - 1, COUNT, COUNT + 1])
@pytest.mark.parametrize(
    ("order", "back"), [("", True), ("create_time asc", False), ("name", False), ("name desc", True)]
)
async def test_the_pages_are_the_list(store: Store, size: int, order: str, *, back: bool) -> None:
    """Whatever the size of the pages, ties in time and all."""
    names = [name_of(number) for number in range(COUNT)]
    assert await all_of(store, listing(order=order), size) == (names[::-1] if back else names)


async def test_pages_of_a_filter(store: Store) -> None:
    """Only what fits, and the total of it."""
    wanted = listing("state = PENDING_APPROVAL AND kind = block_url")
    assert await all_of(store, wanted, 4) == [name_of(number) for number in range(COUNT - 1, -1, -1) if not number % 4]
    assert await wanted.total(store) == len(range(0, COUNT, 4))


async def test_a_page_goes_on_where_the_last_one_ended_though_newer_came(store: Store) -> None:
    """What comes meanwhile shifts nothing."""
    records, token = await listing().page(store, 5, "")
    await keep(store, [action(COUNT + 5)])
    following, _ = await listing().page(store, 5, token)
    expected = [name_of(number) for number in range(COUNT - 1, COUNT - 11, -1)]
    assert [record.name for record in (*records, *following)] == expected


async def test_a_token_is_of_its_list_only(store: Store) -> None:
    """Another filter, another order, or what nobody made, is refused."""
    _, token = await listing("state = QUEUED").page(store, 5, "")
    others = [listing(), listing("state = PENDING_APPROVAL"), listing("state = QUEUED", "create_time")]
    nonsense = ["x", "AAAA", "é", "W" * 4000, encode([]), encode([1, 2]), encode(["a", 2**70, ""]), "[" * 1500]
    for wanted, bad in [*((other, token) for other in others), *((listing(), bad) for bad in nonsense)]:
        with pytest.raises(PageTokenInvalidError):
            await wanted.page(store, 5, bad)


@pytest.mark.parametrize(
    "order", ["state", "create_time down", "create_time desc extra", "create_time, name", "target"]
)
def test_an_order_without_an_index_is_refused_and_says_which_there_are(order: str) -> None:
    """No list is sorted on reading."""
    with pytest.raises(OrderInvalidError, match="one of name, create_time, then asc or desc"):
        listing(order=order)


def test_the_size_of_a_page() -> None:
    """As the contracts say: a default if none is asked for, and never more than 1,000."""
    sizes = [size_of(asked, 50) for asked in (0, 1, LARGEST, LARGEST + 1, 2**31 - 1)]
    assert sizes == [50, 1, LARGEST, LARGEST, LARGEST]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("", "actions_by_time"),
        ("state = PENDING_APPROVAL", "actions_by_state"),
        ("kind = block_url", "actions_by_kind"),
        ("investigation = investigations/xdr.1", "actions_by_investigation"),
        ("device = devices/x AND state = SUCCEEDED", "actions_by_device"),
        ("kind = block_url AND investigation = investigations/xdr.1", "actions_by_investigation"),
        ("kind = block_url AND state = HELD", "actions_by_state"),
    ],
)
async def test_a_page_reads_an_index_and_sorts_nothing(store: Store, text: str, index: str, *, deep: bool) -> None:
    """So a page costs the same in any history. Control: a list by target finds no such index."""
    wanted = listing(text)
    place = wanted.order.place(action(5)) if deep else ()
    plan = await plan_of(store, wanted, place)
    assert f"USING INDEX {index}" in plan
    assert "TEMP B-TREE" not in plan
    assert "state=?" not in await plan_of(store, listing("target = x"), place)


async def plan_of(store: Store, wanted: Listing[ActionRecord], place: Sequence[SqlValue]) -> str:
    """Return how the database would find a page."""
    tail, parameters = wanted.tail(place, 51)
    (rows,) = await store.read([Query(f"EXPLAIN QUERY PLAN SELECT * FROM actions {tail}", parameters)])  # noqa: S608 - ours
    return "; ".join(str(row[3]) for row in rows)


def outcome(number: int) -> item_pb2.ItemOutcome:
    """Return what came of a message."""
    message = item_pb2.MessageItem(
        mailbox=f"mailboxes/{number % 3}@example.org", folder="INBOX", sha256=f"{number:064x}"
    )
    if number % 5:
        return item_pb2.ItemOutcome(item=item_pb2.Item(message=message), state=item_pb2.ITEM_STATE_DONE)
    failure = failure_pb2.Failure(reason="MAILBOX_GONE")
    return item_pb2.ItemOutcome(item=item_pb2.Item(message=message), state=item_pb2.ITEM_STATE_FAILED, failure=failure)


async def keep_items(store: Store, phase: int, outcomes: list[item_pb2.ItemOutcome], size: int) -> None:
    """Keep items of the first action in chunks."""

    def decide(view: View) -> None:
        for index in range(-(-len(outcomes) // size)):
            body = item_pb2.ItemOutcomes(outcomes=outcomes[index * size : (index + 1) * size]).SerializeToString()
            view.put(ITEM_CHUNKS, ItemChunkRecord(f"{name_of(0)}/{phase}/{index:06}", name_of(0), phase, index, body))

    await store.change(decide)


async def all_items(store: Store, text: str, size: int) -> list[item_pb2.ItemOutcome]:
    """Return the items on all pages."""
    found, token = await items.page(store, name_of(0), text, size, "")
    while token:
        more, token = await items.page(store, name_of(0), text, size, token)
        found += more
    return found


@pytest.mark.parametrize("size", [1, 10, 33, 100, 101])
async def test_items_come_in_the_executors_order_whatever_the_chunks(store: Store, size: int) -> None:
    """Planned ones until something came of them."""
    planned = [item_pb2.ItemOutcome(item=outcome(n).item, state=item_pb2.ITEM_STATE_PLANNED) for n in range(100)]
    await keep_items(store, 0, planned, 40)
    assert await all_items(store, "", size) == planned
    came = [outcome(number) for number in range(100)]
    await keep_items(store, 1, came, 7)
    assert await all_items(store, "", size) == came
    failed = [one for n, one in enumerate(came) if n % 15 == 0]
    assert await all_items(store, 'state = FAILED AND message.mailbox = "mailboxes/0@example.org"', size) == failed
    assert (
        await all_items(store, "failure.reason = MAILBOX_GONE AND message.mailbox = mailboxes/0@example.org", size)
        == failed
    )
    assert await all_items(store, "file.path = /x", size) == []
    assert await all_items(store, "failure.reason != MAILBOX_GONE", size) == [
        one for n, one in enumerate(came) if n % 5
    ]


async def test_a_token_of_items_is_of_its_list_only(store: Store) -> None:
    """Another filter, or items that are now another list, refuse it."""
    await keep_items(store, 0, [outcome(number) for number in range(9)], 4)
    _, token = await items.page(store, name_of(0), "", 5, "")
    for text, bad in (("state = DONE", token), ("", token[:-3]), ("", "x")):
        with pytest.raises(PageTokenInvalidError):
            await items.page(store, name_of(0), text, 5, bad)
    with pytest.raises(FilterInvalidError):
        await items.page(store, name_of(0), "mailbox = x", 5, "")
    await keep_items(store, 1, [outcome(number) for number in range(9)], 4)
    with pytest.raises(PageTokenInvalidError):
        await items.page(store, name_of(0), "", 5, token)
