"""A batch of votes by filter: who is meant, oldest first, a thousand at a time, and calling again goes on."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from quell.actioncenter.v1 import action_pb2, action_service_pb2

from kept_actions import PENDING, START, SUCCEEDED, action, keep, name_of
from quell_actioncenter.api.selection import MOST, chosen
from quell_actioncenter.domain.records import RequestRecord
from quell_actioncenter.store.tables import REQUESTS
from quell_runtime.seams import stamp
from quell_runtime.store import Store, View
from quell_runtime.store.opening import opened

HELD = action_pb2.ACTION_STATE_HELD
COUNT = MOST + 50
VOTE = "8d7f2c1e-0000-4000-8000-000000000001"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Return a store of the Action Center."""
    async with opened(tmp_path, "quell_actioncenter.store", name="center") as found:
        yield found


def asked(text: str = "kind = block_url", minutes: int = 2 * COUNT) -> action_service_pb2.BatchDecideActionsRequest:
    """Return a vote on what was seen so many minutes after the start."""
    seen = action_service_pb2.SeenFilter(filter=text, seen_time=stamp(START + timedelta(minutes=minutes)))
    return action_service_pb2.BatchDecideActionsRequest(vote_id=VOTE, answer=action_pb2.ANSWER_APPROVE, filter=seen)


async def reach(store: Store, names: tuple[str, ...]) -> None:
    """Note that the vote has reached actions."""

    def decide(view: View) -> None:
        for name in names:
            view.put(REQUESTS, RequestRecord(str(uuid.uuid5(uuid.UUID(VOTE), name)), name, b""))

    await store.change(decide)


async def test_calling_again_with_the_same_id_goes_on(store: Store) -> None:
    """A thousand, then the rest, then none, though all of them still need votes."""
    await keep(store, [action(number, HELD if number % 2 else PENDING) for number in range(COUNT)])
    first = await chosen(store, asked())
    assert (first.names, first.remaining) == (tuple(name_of(number) for number in range(MOST)), COUNT - MOST)
    await reach(store, first.names)
    second = await chosen(store, asked())
    assert (second.names, second.remaining) == (tuple(name_of(number) for number in range(MOST, COUNT)), 0)
    await reach(store, second.names)
    assert (await chosen(store, asked())).names == ()


async def test_only_what_waits_and_was_seen_is_meant(store: Store) -> None:
    """Not what is decided, what does not fit, what came later, or what has another etag since."""
    changed = replace(action(2), etag_time=START + timedelta(minutes=90))
    other = replace(action(3), kind="soft_delete_messages")
    await keep(store, [action(0), action(1, SUCCEEDED), changed, other, action(99)])
    assert (await chosen(store, asked(minutes=60))).names == (name_of(0),)


async def test_a_vote_on_named_actions_selects_nothing(store: Store) -> None:
    """They are named in the request."""
    await keep(store, [action(0)])
    assert (await chosen(store, action_service_pb2.BatchDecideActionsRequest(vote_id=VOTE))).names == ()
