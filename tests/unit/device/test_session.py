"""An agent that floods is slowed down; one that does not read is cut off; streams that fight are told apart."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from quell.executor.v1 import executor_service_pb2

from quell_device.application.lane import Lane, conversation
from quell_device.application.session import BURST, RATE, REPLACEMENTS, ROOM, UNSTORED, Replacements, Session
from quell_device.domain.errors import AmbiguousError, SlowError


class SetClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Begin at some time."""
        self.seconds = 1000.0

    def now(self) -> datetime:
        """Return the wall clock."""
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.seconds)

    def boot(self) -> float:
        """Return seconds since some time."""
        return self.seconds


async def test_an_agent_that_does_not_read_is_cut_off() -> None:
    """It is sent all of it when it is back; nobody else waits for it."""
    session = Session("a", SetClock())
    for _ in range(ROOM):
        session.tell(executor_service_pb2.WorkRequest())
    assert not session.lane.closed
    session.tell(executor_service_pb2.WorkRequest())
    with pytest.raises(SlowError):
        await session.lane.take()


async def test_an_agent_that_floods_waits() -> None:
    """What it may send at once is free; after that each message waits for its share of time."""
    clock = SetClock()
    session = Session("a", clock)
    for _ in range(int(BURST)):
        await asyncio.wait_for(session.allow(1), 0.001)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.allow(RATE), 0.05)
    clock.seconds += 10
    await asyncio.wait_for(session.allow(1), 0.05)


async def test_an_agent_with_too_much_that_is_not_stored_waits_until_some_is() -> None:
    """So what we remember for it is bounded."""
    session = Session("a", SetClock())
    await session.sent_up(str(number) for number in range(UNSTORED))
    waiting = asyncio.create_task(session.sent_up(["one more"]))
    await asyncio.sleep(0)
    assert not waiting.done()
    session.stored(["7"])
    await asyncio.wait_for(waiting, 1)
    assert len(session.unstored) == UNSTORED


def test_one_too_many_replacements_in_a_minute_is_refused_for_ten() -> None:
    """Spread over more than a minute they are not."""
    clock = SetClock()
    slow = Replacements(clock)
    for _ in range(20):
        clock.seconds += 20.1
        slow.count("a")
    slow.check("a")
    fast = Replacements(clock)
    for _ in range(REPLACEMENTS):
        fast.count("a")
    with pytest.raises(AmbiguousError):
        fast.count("a")
    fast.check("another")
    clock.seconds += 599
    with pytest.raises(AmbiguousError):
        fast.check("a")
    clock.seconds += 2
    fast.check("a")


async def test_a_lane_slows_down_who_puts_and_drops_when_closed() -> None:
    """`put` waits for room; what waits on a closed lane is gone, and nobody waits for ever."""
    lane: Lane[int] = Lane(2)
    await lane.put(1)
    await lane.put(2)
    third = asyncio.create_task(lane.put(3))
    await asyncio.sleep(0)
    assert not third.done()
    assert await lane.take() == [1, 2]
    await third
    await lane.put(4)
    fifth = asyncio.create_task(lane.put(5))
    await asyncio.sleep(0)
    lane.close()
    await asyncio.wait_for(fifth, 1)
    assert await lane.take() == []


async def test_what_reading_raises_ends_the_conversation() -> None:
    """And is raised where the stream is answered."""
    lane: Lane[int] = Lane(2)

    async def read() -> None:
        raise SlowError("so")

    with pytest.raises(SlowError):
        async for _ in conversation(lane, read):
            pass
    assert lane.closed


async def test_a_conversation_that_is_cut_before_it_began_leaves_nothing_behind() -> None:
    """What would have read is not even made."""
    begun = []

    async def read() -> None:
        begun.append(True)

    lane: Lane[int] = Lane(2)
    lane.offer(1)
    talking = conversation(lane, read)
    assert await anext(talking) == [1]
    await talking.aclose()
    await asyncio.sleep(0)
    assert begun == []
