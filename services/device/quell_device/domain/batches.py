"""Messages of many agents become few: what waits to go up is joined, within the limits of a message."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from quell.executor.v1 import executor_service_pb2

ITEMS = 256
BYTES = 120_000
"""Of a message up; the limit is 128 KiB."""

ORDER = ("hello", "accepted", "progress", "items", "plan", "effects", "targets", "accesses", "receipts")
"""Receipts come last, so that the item outcomes of an action stay before its receipt."""

LISTS = {
    "accepted": "actions",
    "progress": "reports",
    "items": "chunks",
    "effects": "reports",
    "targets": "reports",
    "accesses": "accesses",
    "receipts": "receipts",
}


def joined(responses: Sequence[executor_service_pb2.WorkResponse]) -> Iterable[executor_service_pb2.WorkResponse]:
    """Yield the same in as few messages as may be; those of one kind keep their order."""
    by_kind = sorted(responses, key=_place)
    for place, group in groupby(by_kind, key=_place):
        if field := LISTS.get(ORDER[place]):
            yield from _filled(ORDER[place], field, group)
        else:
            yield from group


def _place(response: executor_service_pb2.WorkResponse) -> int:
    return ORDER.index(str(response.WhichOneof("message")))


def _filled(
    kind: str, field: str, group: Iterable[executor_service_pb2.WorkResponse]
) -> Iterable[executor_service_pb2.WorkResponse]:
    filling, count, size = executor_service_pb2.WorkResponse(), 0, 0
    for response in group:
        entries = getattr(getattr(response, kind), field)
        more = response.ByteSize()
        if count and (count + len(entries) > ITEMS or size + more > BYTES):
            yield filling
            filling, count, size = executor_service_pb2.WorkResponse(), 0, 0
        getattr(getattr(filling, kind), field).extend(entries)
        count, size = count + len(entries), size + more
    yield filling
