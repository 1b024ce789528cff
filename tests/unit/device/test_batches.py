"""Many agents' messages become few, within the limits of a message, and items stay before their receipt."""

from hypothesis import given
from hypothesis import strategies as st
from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import seal_pb2

from quell_device.domain.batches import BYTES, ITEMS, joined

Response = executor_service_pb2.WorkResponse


def accepted(number: int) -> Response:
    """Return one action that is accepted."""
    return Response(accepted=executor_service_pb2.Accepted(actions=[str(number)]))


def receipt(number: int, size: int = 10) -> Response:
    """Return one receipt."""
    sealed = seal_pb2.Sealed(type=str(number), body=bytes(size))
    return Response(receipts=executor_service_pb2.Receipts(receipts=[sealed]))


def chunk(number: int) -> Response:
    """Return one chunk of items."""
    return Response(items=executor_service_pb2.ItemChunks(chunks=[executor_service_pb2.ItemChunk(id=str(number))]))


MAKERS = {"accepted": accepted, "receipts": receipt, "items": chunk}


@given(st.lists(st.sampled_from(sorted(MAKERS)), max_size=700))
def test_nothing_is_lost_or_reordered_and_receipts_come_last(kinds: list[str]) -> None:
    """Each kind keeps its order; no message has more than 256 entries."""
    found = list(joined([MAKERS[kind](number) for number, kind in enumerate(kinds)]))
    actions = [action for each in found for action in each.accepted.actions]
    receipts = [sealed.type for each in found for sealed in each.receipts.receipts]
    chunks = [piece.id for each in found for piece in each.items.chunks]
    for kind, seen in (("accepted", actions), ("receipts", receipts), ("items", chunks)):
        assert seen == [str(number) for number, each in enumerate(kinds) if each == kind]
    assert all(len(each.accepted.actions) <= ITEMS and len(each.receipts.receipts) <= ITEMS for each in found)
    order = [each.HasField("receipts") for each in found]
    assert order == sorted(order)


@given(st.lists(st.integers(1, 60_000), max_size=40))
def test_no_message_is_larger_than_its_limit(sizes: list[int]) -> None:
    """Receipts are joined only as far as they fit."""
    found = list(joined([receipt(number, size) for number, size in enumerate(sizes)]))
    assert all(each.ByteSize() <= BYTES + 200 for each in found)
    assert sum(len(each.receipts.receipts) for each in found) == len(sizes)
