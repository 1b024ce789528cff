"""The items of an action: kept in chunks, as executors send them, and read chunk by chunk."""

from collections.abc import AsyncIterator

from quell.remediation.v1.item_pb2 import ItemOutcome, ItemOutcomes

from quell_actioncenter.api import resources
from quell_actioncenter.domain.records import OUTCOMES, PLANNED
from quell_actioncenter.store.tables import ITEM_CHUNKS
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import PageTokenInvalidError, bound, decode, encode
from quell_runtime.store import Store

Place = tuple[int, int]
"""Index of a chunk, and position in it."""
CHUNKS = 4
"""Read at a time."""


async def page(store: Store, action: str, text: str, size: int, token: str) -> tuple[list[ItemOutcome], str]:
    """Return a page of an action's items and the token of the next one, empty on the last.

    What came of them, if the executor has told already; else those that the last preview found.

    Raises:
        FilterInvalidError: `text` is no filter of items.
        PageTokenInvalidError: The token is of another list, or of none.

    """
    wanted = parse(text, resources.ITEM)
    outcomes = await store.select(ITEM_CHUNKS, "WHERE action = ? AND phase = ? LIMIT 1", (action, OUTCOMES))
    phase = OUTCOMES if outcomes else PLANNED
    binding = bound(action, phase, text)
    found: list[tuple[Place, ItemOutcome]] = []
    async for place, item in _after(store, action, phase, _read(token, binding)):
        if wanted.fits(item):
            found.append((place, item))
        if len(found) > size:
            (index, position), _ = found[size - 1]
            return [item for _, item in found[:size]], encode([binding, index, position])
    return [item for _, item in found], ""


async def _after(store: Store, action: str, phase: int, place: Place) -> AsyncIterator[tuple[Place, ItemOutcome]]:
    index, _ = place
    tail = f'WHERE action = ? AND phase = ? AND "index" >= ? ORDER BY "index" LIMIT {CHUNKS}'
    while chunks := await store.select(ITEM_CHUNKS, tail, (action, phase, index)):
        for chunk in chunks:
            for number, item in enumerate(ItemOutcomes.FromString(chunk.body).outcomes):
                if (chunk.index, number) > place:
                    yield (chunk.index, number), item
        index = chunks[-1].index + 1


def _read(token: str, binding: str) -> Place:
    if not token:
        return 0, -1
    match decode(token):
        case [str(of), int(index), int(position)] if of == binding:
            return index, position
    raise PageTokenInvalidError
