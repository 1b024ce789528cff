"""A hostile device seals receipts for what nobody asked: the log, which is kept for good, keeps room for others."""

from collections.abc import Callable

from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import receipt_pb2

from center_bench import Bench, block
from quell_actioncenter.application.answers import MOST_ORPHANS, ORPHAN_BYTES, Executor
from quell_runtime.sealing import SealKey

HOSTILE = SealKey(bytes([66] * 32))
SENT = MOST_ORPHANS + 200


def test_orphans_are_kept_up_to_a_number_and_all_are_acknowledged(play: Callable[..., None]) -> None:
    """So they do not come again either; honest receipts go on, and large ones are not kept at all."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(block())
        name = receipt_pb2.Receipt.DESCRIPTOR.full_name
        ids = [bench.uuid() for _ in range(SENT)]
        bodies = [receipt_pb2.Receipt(id=each, action=f"actions/{bench.uuid()}").SerializeToString() for each in ids]
        large = receipt_pb2.Receipt(id=bench.uuid(), action=asked.name, warrant_digest=bytes(ORPHAN_BYTES))
        for bunch in ([large.SerializeToString()], *(bodies[at : at + 200] for at in range(0, SENT, 200))):
            receipts = executor_service_pb2.Receipts(receipts=HOSTILE.seal(name, bunch))
            bench.email.say(executor_service_pb2.WorkResponse(receipts=receipts))
        await bench.settle(1)
        assert bench.email.stored == {large.id, *ids}
        assert [one.event for one in await bench.events()].count("receipt_orphaned") == MOST_ORPHANS
        await bench.approve(asked)
        await bench.settle()
        assert await bench.states() == ["SUCCEEDED"]

    play(story)


def test_each_stream_begins_anew() -> None:
    """An hour at most, as connections grow no older."""
    first, second = Executor("email", b"key"), Executor("email", b"key")
    assert first.orphans is not second.orphans
