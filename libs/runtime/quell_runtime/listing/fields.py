"""What a list can be filtered and ordered by: for each field its column and how a filter's word becomes its value.

One definition serves the database (`column`) and a watch (`get`), and both hold values as the database does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from quell_runtime.seams import micros
from quell_runtime.store import SqlValue

R = TypeVar("R")
Read = Callable[[str], SqlValue]
EQUALITY = ("=", "!=")
COMPARISON = ("=", "!=", "<", "<=", ">", ">=")


class WordInvalidError(ValueError):
    """A filter's word is no value of the field; the message says what is."""


@dataclass(frozen=True, slots=True)
class Field(Generic[R]):
    """One field. `ordered_by`: the column is never null and has an index, so lists can be in its order.

    `many`: the record has a set of values, kept as JSON, and equals each of them.
    """

    column: str
    read: Read
    get: Callable[[R], Any]
    signs: tuple[str, ...] = EQUALITY
    ordered_by: bool = False
    many: bool = False


def _word(text: str) -> str:
    return text


def _time(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise WordInvalidError("a time with its zone, as 2026-11-01T00:00:00Z")
    return micros(found)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):  # noqa: PLR2004 - what a column can hold
        raise WordInvalidError("a whole number")
    return int(text)


def text(column: str, get: Callable[[R], str | None] | None = None, *, ordered_by: bool = False) -> Field[R]:
    """Return a field of words, in the order of their code points."""
    return Field(column, _word, get or _attribute(column), COMPARISON, ordered_by)


def time(column: str, *, ordered_by: bool = False) -> Field[Any]:
    """Return a field that holds a time."""
    attribute = _attribute(column)

    def get(record: object) -> SqlValue:
        found = attribute(record)
        return None if found is None else micros(found)

    return Field(column, _time, get, COMPARISON, ordered_by)


def count(column: str, *, ordered_by: bool = False) -> Field[Any]:
    """Return a field that holds a whole number."""
    return Field(column, _count, _attribute(column), COMPARISON, ordered_by)


def choice(column: str, names: Iterable[str] | Mapping[str, SqlValue]) -> Field[Any]:
    """Return a field that is one of these; a mapping gives what the column holds for each."""
    held = names if isinstance(names, Mapping) else {name: name for name in names}

    def read(word: str) -> SqlValue:
        if word not in held:
            raise WordInvalidError(f"one of {', '.join(held)}")
        return held[word]

    return Field(column, read, _attribute(column))


def members(column: str) -> Field[Any]:
    """Return a field that holds a set of words: `tag = lab` is so for what has it."""
    return Field(column, _word, _attribute(column), ("=",), many=True)


def _attribute(name: str) -> Callable[[Any], Any]:
    return lambda record: getattr(record, name)
