"""Watch: each that fits as it is now, then each change; nothing is missed over a break, and the slow get the newest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from quell.actioncenter.v1 import action_pb2

from kept_actions import (
    PENDING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    action,
    investigation,
    keep,
    keep_investigations,
    move,
    name_of,
)
from quell_actioncenter.api import resources
from quell_actioncenter.api.watching import BATCH, Told, watching
from quell_actioncenter.domain.errors import ResumeTokenExpiredError
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, INVESTIGATIONS
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import encode
from quell_runtime.store import Store
from quell_runtime.store.opening import opened

Progress = Mapping[str, action_pb2.Progress]
Sight = tuple[str, int, bool]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Return an empty store of the Action Center."""
    async with opened(tmp_path, "quell_actioncenter.store", name="center") as found:
        yield found


class Watcher:
    """Takes what is told, one at a time."""

    def __init__(self, told: AsyncIterator[Told[ActionRecord]]) -> None:
        """Take from a watch."""
        self._told = told
        self.token = ""

    async def next(self) -> Sight:
        """Return the next: name, state, whether it fits."""
        told = await asyncio.wait_for(anext(self._told), 5)
        self.token = told.token
        return told.record.name, told.record.state, told.matches

    async def nothing(self) -> None:
        """See that nothing more is told for a while."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(self._told), 0.6)


def none() -> Progress:
    """Return no progress."""
    return {}


@asynccontextmanager
async def watcher(
    store: Store, text: str = "", token: str = "", progress: Callable[[], Progress] = none
) -> AsyncIterator[Watcher]:
    """Watch actions."""
    async with watching(store, ACTIONS, parse(text, resources.ACTION), token, progress) as told:
        yield Watcher(told)


async def test_first_those_that_fit_then_each_change(store: Store) -> None:
    """What fits is told as it is, then as it changes; what never fitted is not told."""
    await keep(store, [action(1), action(2, QUEUED)])
    async with watcher(store, "state = PENDING_APPROVAL") as seen:
        assert await seen.next() == (name_of(1), PENDING, True)
        await keep(store, [action(3), action(4, QUEUED)])
        assert await seen.next() == (name_of(3), PENDING, True)
        await seen.nothing()


async def test_what_leaves_the_filter_is_told_once(store: Store) -> None:
    """With matches = false; further changes of it are not told."""
    await keep(store, [action(1)])
    async with watcher(store, "state = PENDING_APPROVAL") as seen:
        assert await seen.next() == (name_of(1), PENDING, True)
        await move(store, 1, QUEUED)
        assert await seen.next() == (name_of(1), QUEUED, False)
        await move(store, 1, SUCCEEDED)
        await keep(store, [action(2)])
        assert await seen.next() == (name_of(2), PENDING, True)


async def test_what_is_too_fast_is_told_as_the_newest(store: Store) -> None:
    """While nobody takes what is told, changes of one action become one."""
    await keep(store, [action(1)])
    async with watcher(store) as seen:
        assert await seen.next() == (name_of(1), PENDING, True)
        for state in (QUEUED, RUNNING, SUCCEEDED):
            await move(store, 1, state)
        assert await seen.next() == (name_of(1), SUCCEEDED, True)
        await seen.nothing()


async def test_a_resumed_watch_tells_what_happened_meanwhile_and_nothing_else(store: Store) -> None:
    """With the last token, changes since are told, those that left the filter with false, the rest is not repeated."""
    await keep(store, [action(1), action(2), action(3)])
    async with watcher(store, "state = PENDING_APPROVAL") as seen:
        for _ in range(3):
            await seen.next()
    await move(store, 2, QUEUED)
    await keep(store, [action(4)])
    async with watcher(store, "state = PENDING_APPROVAL", seen.token) as again:
        assert await again.next() == (name_of(2), QUEUED, False)
        assert await again.next() == (name_of(4), PENDING, True)
        await again.nothing()


@pytest.mark.parametrize("taken", [1, BATCH, BATCH + 1, 2 * BATCH + 2])
async def test_a_break_in_the_first_round_misses_nothing(store: Store, taken: int) -> None:
    """Whatever was taken before the break, together with the rest it is everything, each once."""
    count = 2 * BATCH + 3
    await keep(store, [action(number, PENDING if number % 2 else QUEUED) for number in range(2 * count)])
    async with watcher(store, "state = QUEUED") as seen:
        names = [(await seen.next())[0] for _ in range(taken)]
    async with watcher(store, "state = QUEUED", seen.token) as again:
        names += [(await again.next())[0] for _ in range(count - taken)]
        await again.nothing()
    assert sorted(names) == [name_of(number) for number in range(0, 2 * count, 2)]


async def test_records_that_share_a_number_are_all_told(store: Store) -> None:
    """A decision may change many investigations with one entry; a break between them misses none."""
    await keep_investigations(store, [investigation(number) for number in range(BATCH + 5)])
    wanted = parse("", resources.INVESTIGATION)
    names: list[str] = []
    token = ""
    while len(names) < BATCH + 5:
        async with watching(store, INVESTIGATIONS, wanted, token) as told:
            for _ in range(min(41, BATCH + 5 - len(names))):
                one = await asyncio.wait_for(anext(told), 5)
                names.append(one.record.name)
                token = one.token
    assert len(set(names)) == len(names) == BATCH + 5


async def test_progress_is_told_without_a_change_in_the_store(store: Store) -> None:
    """Each new progress of what fits is told; the same is not told again."""
    await keep(store, [action(1, RUNNING), replace(action(2, RUNNING), kind="unblock_url")])
    now: dict[str, action_pb2.Progress] = {}
    async with watcher(store, "kind = block_url", progress=lambda: now) as seen:
        assert await seen.next() == (name_of(1), RUNNING, True)
        now |= {name_of(number): action_pb2.Progress(percent=50) for number in (1, 2)}
        assert await seen.next() == (name_of(1), RUNNING, True)
        await seen.nothing()


@pytest.mark.parametrize(
    "token", ["nonsense", "AAAA", encode([]), encode([1]), encode([0, 9, ""]), encode([9, 0, ""]), encode(["0", 0, ""])]
)
async def test_a_token_of_nothing_is_refused(store: Store, token: str) -> None:
    """One that we did not give, or that is ahead of the log (a store restored from an older copy)."""
    await keep(store, [action(1)])
    async with watcher(store, token=token) as seen:
        with pytest.raises(ResumeTokenExpiredError):
            await seen.next()
