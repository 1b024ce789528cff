"""What a receipt says is derived from item states alone, and its counts add up."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.remediation.v1 import item_pb2, outcome_pb2

from quell_executor.outcome import CHUNK_ITEMS, chunks_of, counts_of, effect_of

D, U, M, R, F, S, K, C = range(2, 10)
"""DONE, UNNEEDED, MISSING, REFUSED, FAILED, SUPERSEDED, KEPT, CONFLICT."""
STATES = st.lists(st.sampled_from([D, U, M, R, F, S, K, C]), max_size=20)


@pytest.mark.parametrize(
    ("states", "effect"),
    [
        ([D], "IN_FORCE"),
        ([D, U], "IN_FORCE"),
        ([D, S], "IN_FORCE"),
        ([D, M], "IN_FORCE"),
        ([U, U], "ALREADY_IN_FORCE"),
        ([U, M], "ALREADY_IN_FORCE"),
        ([D, F], "PARTLY_IN_FORCE"),
        ([U, R], "PARTLY_IN_FORCE"),
        ([D, K], "PARTLY_IN_FORCE"),
        ([D, C], "PARTLY_IN_FORCE"),
        ([F], "NOT_IN_FORCE"),
        ([C, K], "NOT_IN_FORCE"),
        ([R, M], "NOT_IN_FORCE"),
        ([M], "TARGET_GONE"),
        ([], "TARGET_GONE"),
        ([M, S], "TARGET_GONE"),
    ],
)
def test_the_effect_is_over_what_no_newer_action_answers_for(states: list[int], effect: str) -> None:
    """Gone is no failure beside what came as ordered; kept, refused, failed and in conflict are not as ordered."""
    found = effect_of(counts_of(map(item_pb2.ItemState.ValueType, states)), reverts=False)
    assert outcome_pb2.EffectState.Name(found) == f"EFFECT_STATE_{effect}"


def test_what_is_gone_can_not_be_brought_back() -> None:
    """Of an undo it is a part that did not come."""
    counts = counts_of(map(item_pb2.ItemState.ValueType, [D, M]))
    assert effect_of(counts, reverts=True) == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE


@given(STATES)
def test_counts_add_up_and_nothing_is_better_than_its_items(states: list[int]) -> None:
    """IN_FORCE only if nothing was refused, failed, kept or in conflict."""
    counts = counts_of(map(item_pb2.ItemState.ValueType, states))
    numbers = [number for field, number in counts.ListFields() if field.name != "total_items"]
    assert sum(numbers) == counts.total_items == len(states)
    if effect_of(counts, reverts=False) == outcome_pb2.EFFECT_STATE_IN_FORCE:
        assert not {R, F, K, C} & set(states)
        assert D in states


@given(st.lists(st.integers(0, 3000), max_size=1200))
def test_chunks_hold_everything_in_order_and_keep_their_limits(sizes: list[int]) -> None:
    """However long paths are."""
    items = [
        item_pb2.ItemOutcome(
            item=item_pb2.Item(file=item_pb2.FileItem(path="x" * size)), state=item_pb2.ITEM_STATE_DONE
        )
        for size in sizes
    ]
    bodies, digest = chunks_of(items)
    chunks = [item_pb2.ItemOutcomes.FromString(body).outcomes for body in bodies]
    assert [outcome for chunk in chunks for outcome in chunk] == items
    assert all(0 < len(chunk) <= CHUNK_ITEMS for chunk in chunks)
    assert all(len(body) <= 120_000 for body in bodies)
    assert digest == (hashlib.sha256(b"".join(bodies)).digest() if items else b"")
