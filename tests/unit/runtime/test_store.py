"""A group of callers shares one transaction, and each has its own answer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest

from quell_runtime.errors import FullError, StateError
from quell_runtime.store import Change, Store, View, replace, table
from quell_runtime.store.connection import InlineSqlite, Query, ThreadedSqlite


@dataclass(frozen=True)
class Purse:
    """What a test keeps."""

    name: str
    coins: int
    friend: str = ""


PURSES = table(Purse, "purses", "name")


def schema(path: Path) -> None:
    """Make the table."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE purses (name TEXT PRIMARY KEY, coins INTEGER NOT NULL, friend TEXT NOT NULL)")
    database.close()


@pytest.fixture(params=["inline", "threaded"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Return a store over each implementation of the connection."""
    schema(tmp_path / "db")
    if request.param == "inline":
        writer, reader = InlineSqlite(tmp_path / "db"), InlineSqlite(tmp_path / "db")
        yield Store(writer, reader)
        await writer.close()
        await reader.close()
        return
    async with ThreadedSqlite(tmp_path / "db") as threaded, ThreadedSqlite(tmp_path / "db") as other:
        assert isinstance(threaded, ThreadedSqlite)
        assert isinstance(other, ThreadedSqlite)
        yield Store(threaded, other)


def spend(view: View) -> int:
    """Take a coin out of ann's purse."""
    purse = view.get(PURSES, "ann") or Purse("ann", 3)
    if not purse.coins:
        raise StateError("it is empty")
    view.put(PURSES, replace(purse, coins=purse.coins - 1))
    return purse.coins - 1


async def test_a_commit_is_on_the_disk_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """WAL with FULL: with NORMAL, a power cut loses commits that were acknowledged."""
    asked = [Query("PRAGMA synchronous"), Query("PRAGMA journal_mode")]
    async with ThreadedSqlite(tmp_path / "db") as threaded:
        assert isinstance(threaded, ThreadedSqlite)
        for connection in (threaded, InlineSqlite(tmp_path / "db")):
            assert await connection.read(asked) == [[(2,)], [("wal",)]]


async def test_callers_on_one_row_in_one_group_see_each_other_and_the_refused_change_nothing(store: Store) -> None:
    """Five want a coin of three: the later ones see what the earlier left, and two are refused."""
    commits: list[int] = []
    store.listen(lambda changes: commits.append(len(changes)))
    answers = await asyncio.gather(*[store.change(spend) for _ in range(5)], return_exceptions=True)
    assert answers[:3] == [2, 1, 0]
    assert [type(answer) for answer in answers[3:]] == [StateError, StateError]
    assert await store.load(PURSES, "ann") == Purse("ann", 0)
    assert commits == [1]


async def test_a_refusal_in_the_middle_of_a_group_leaves_nothing_of_its_own(store: Store) -> None:
    """A decision that puts and then raises has put nothing."""

    def half(view: View) -> None:
        view.put(PURSES, Purse("bob", 9))
        raise StateError("no")

    answers = await asyncio.gather(store.change(spend), store.change(half), store.change(spend), return_exceptions=True)
    assert [answers[0], answers[2]] == [2, 1]
    assert isinstance(answers[1], StateError)
    assert await store.load(PURSES, "bob") is None


async def test_a_row_found_by_another_row_is_read_in_the_same_transaction(store: Store) -> None:
    """A decision may follow references that nobody named beforehand."""

    def befriend(view: View) -> None:
        view.put(PURSES, Purse("ann", 1, friend="bob"))
        view.put(PURSES, Purse("bob", 2))

    def follow(view: View) -> int:
        return view.need(PURSES, view.need(PURSES, "ann").friend).coins

    await store.change(befriend)
    assert await store.change(follow) == 2


async def test_rows_that_a_decision_expects_are_read_in_one_trip(store: Store) -> None:
    """However many rows a decision finds out that it needs, it is run once more, not once for each."""
    runs: list[int] = []

    def look(view: View) -> int:
        runs.append(1)
        view.expect((PURSES, name) for name in ("ann", "bob", "cid"))
        return sum(view.get(PURSES, name) is None for name in ("ann", "bob", "cid"))

    await store.change(spend)
    assert (await store.change(look), len(runs)) == (2, 2)


async def test_of_a_row_that_is_there_only_what_changes_is_written(store: Store, tmp_path: Path) -> None:
    """A column that stays what it is is in no statement, so that no index of it is touched; nothing new is no fault."""

    def put(friend: str) -> Callable[[View], None]:
        purse = Purse("ann", 3)

        def decide(view: View) -> None:
            view.put(PURSES, replace(view.get(PURSES, "ann") or purse, friend=friend))

        return decide

    await store.change(put("bob"))
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TRIGGER t BEFORE UPDATE OF coins ON purses BEGIN SELECT RAISE(ABORT, 'coins'); END")
    database.close()
    for friend in ("cid", "cid"):
        await store.change(put(friend))
    assert await store.load(PURSES, "ann") == Purse("ann", 3, "cid")
    with pytest.raises(sqlite3.IntegrityError):
        await store.change(spend)


async def test_who_lacks_rows_holds_up_only_those_behind_it(store: Store) -> None:
    """Those before it decide once; those behind it see what it put, whatever they saw while it lacked rows."""
    runs: list[str] = []

    def first(view: View) -> int:
        runs.append("first")
        return spend(view)

    def second(view: View) -> int:
        runs.append("second")
        for name in ("bob", "cid"):
            view.get(PURSES, name)
        return spend(view)

    def third(view: View) -> int:
        runs.append("third")
        return spend(view)

    answers = await asyncio.gather(*[store.change(one, [(PURSES, "ann")]) for one in (first, second, third)])
    assert answers == [2, 1, 0]
    assert runs == ["first", *("second", "third") * 3]
    assert await store.load(PURSES, "ann") == Purse("ann", 0)


async def test_listeners_hear_before_and_after(store: Store) -> None:
    """What a commit did is told with the record before and after it."""
    heard: list[Change[Purse]] = []
    await store.change(spend)
    store.listen(heard.extend)
    await store.change(spend)
    await store.change(lambda view: view.drop(PURSES, "ann"))
    assert [(change.before, change.after) for change in heard] == [
        (Purse("ann", 2), Purse("ann", 1)),
        (Purse("ann", 1), None),
    ]


async def test_a_full_disk_refuses_ordinary_changes_and_lets_urgent_ones_through(tmp_path: Path) -> None:
    """Below the reserve only receipts, undo, cancel and freeze are stored; reads work."""
    schema(tmp_path / "db")
    free = 1000
    store = Store(InlineSqlite(tmp_path / "db"), InlineSqlite(tmp_path / "db"), room=lambda: free, reserve=500)
    await store.change(spend)
    free = 100
    with pytest.raises(FullError):
        await store.change(spend)
    assert await store.change(spend, urgent=True) == 1
    assert await store.load(PURSES, "ann") == Purse("ann", 1)


def test_a_record_with_other_values_is_another_record_as_frozen_as_the_first() -> None:
    """Nothing is changed in place, and a field that there is not is refused."""
    ann = Purse("ann", 3)
    assert replace(ann, coins=2) == Purse("ann", 2)
    assert ann == Purse("ann", 3)
    with pytest.raises(FrozenInstanceError):
        replace(ann, coins=2).coins = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        replace(ann, notes=1)  # type: ignore[call-arg]
