"""A filter says the same to the database and to a watch, and one that can't be read says what may stand there."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_runtime.listing.fields import choice, count, text, time
from quell_runtime.listing.filters import MOST, FilterInvalidError, parse
from quell_runtime.seams import micros

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Thing:
    """What a test filters."""

    name: str
    state: str
    size: int
    end_time: datetime | None


FIELDS = {
    "name": text("name"),
    "state": choice("state", ("OPEN", "SHUT")),
    "size": count("size"),
    "end_time": time("end_time"),
}
NAMES = ("a", "AND", 'b "c"', "d\\e", "é", "\U0001f600", "\uffff")

things = st.builds(
    Thing,
    name=st.sampled_from(NAMES),
    state=st.sampled_from(("OPEN", "SHUT")),
    size=st.integers(0, 10),
    end_time=st.none() | st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
)
SIGNS = ("=", "!=", "<", "<=", ">", ">=")


def quoted(value: str) -> str:
    """Write a value as a string of the language."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


comparisons = st.one_of(
    st.tuples(st.just("name"), st.sampled_from(SIGNS), st.sampled_from(NAMES).map(quoted)),
    st.tuples(st.just("state"), st.sampled_from(SIGNS[:2]), st.sampled_from(("OPEN", '"SHUT"'))),
    st.tuples(st.just("size"), st.sampled_from(SIGNS), st.integers(0, 10).map(str)),
    st.tuples(
        st.just("end_time"),
        st.sampled_from(SIGNS),
        st.integers(0, 5).map(lambda days: (START + timedelta(days=days)).isoformat()),
    ),
).map(" ".join)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """Return an empty table of things."""
    found = sqlite3.connect(":memory:")
    found.execute("CREATE TABLE things (name TEXT, state TEXT, size INTEGER, end_time INTEGER)")
    yield found
    found.close()


@given(st.lists(things, max_size=8), st.lists(comparisons, max_size=4).map(" AND ".join))
def test_database_and_watch_agree(database: sqlite3.Connection, kept: list[Thing], asked: str) -> None:
    """What the condition selects is what fits."""
    read = parse(asked, FIELDS)
    database.execute("DELETE FROM things")
    rows = [(one.name, one.state, one.size, one.end_time and micros(one.end_time)) for one in kept]
    database.executemany("INSERT INTO things VALUES (?, ?, ?, ?)", rows)
    query = f"SELECT rowid FROM things WHERE {read.sql} ORDER BY rowid"  # noqa: S608 - the test's own
    chosen = [rowid for (rowid,) in database.execute(query, read.parameters)]
    first = chosen and database.execute("SELECT min(rowid) FROM things").fetchone()[0]
    assert [kept[rowid - first] for rowid in chosen] == [one for one in kept if read.fits(one)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("stat = OPEN", "there is no field stat; there are name, state, size, end_time"),
        ("state = HALF", "state is one of OPEN, SHUT"),
        ("state > OPEN", "after state stands one of = !="),
        ("state OPEN", "ends in the middle"),
        ("state OPEN x", "after state stands one of = !="),
        ("state =", "ends in the middle"),
        ("state", "ends in the middle"),
        ("state = OPEN AND", "a comparison follows AND"),
        ("state = OPEN OR size = 1", "joined by AND"),
        ('state = OPEN "AND" size = 1', "joined by AND"),
        ("state = OPEN size = 1", "joined by AND"),
        ("AND state = OPEN", "there is no field AND"),
        ('"state" = OPEN', "there is no field state"),
        ("size = = 1", "after size = stands a value"),
        ("size = -1", "size is a whole number"),
        ("size = 99999999999999999999", "size is a whole number"),
        ("size = ٣", "size is a whole number"),
        ("end_time > yesterday", "end_time is a time with its zone"),
        ("end_time > 2026-11-01T00:00:00", "end_time is a time with its zone"),
        ("(state = OPEN)", "at character 1 stands"),
        ('name = "open', "at character 8 stands"),
        ("size = 1; DROP TABLE things", "joined by AND"),
        (" AND ".join(["size = 1"] * (MOST + 1)), "at most 20"),
    ],
)
def test_what_cannot_be_read_says_what_may_stand_there(asked: str, says: str) -> None:
    """Each refusal names the request's field and what is allowed."""
    with pytest.raises(FilterInvalidError) as refusal:
        parse(asked, FIELDS)
    assert says in refusal.value.message
    assert refusal.value.field == "filter"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(asked: str) -> None:
    """Nothing else comes of it."""
    try:
        parse(asked, FIELDS)
    except FilterInvalidError as refusal:
        assert refusal.message  # noqa: PT017 - either is right
