"""A table of frozen records: each field of the dataclass is a column of the same name."""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import Message

from quell_runtime.seams import micros, moment

SqlValue = str | int | float | bytes | None
Codec = tuple[Callable[[Any], SqlValue], Callable[[Any], Any]] | None
"""How a field becomes a column and comes back; None: it is kept as it is."""
T = TypeVar("T")
EMPTY = "[]"

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - to hand it on
else:

    def replace(record, /, **changes):  # noqa: ANN001, ANN003, ANN201 - its types are those of the other
        """Return a record with other values in some fields: `dataclasses.replace`, and ten times as fast."""
        fields = vars(record) | changes
        if len(fields) > len(vars(record)):
            raise TypeError(f"{type(record).__name__} lacks one of {', '.join(changes)}")
        return _made(type(record), fields)


def _made(record: type[T], fields: Mapping[str, Any]) -> T:
    """Return a record without its `__init__`, which writes the fields of a frozen one in a slow way."""
    made = object.__new__(record)
    vars(made).update(fields)
    return made


@dataclass(frozen=True, eq=False)
class Table(Generic[T]):
    """How records of one type are kept. Make one with `table`."""

    name: str
    key: str
    record: type[T]

    @cached_property
    def _codecs(self) -> Mapping[str, Codec]:
        hints = typing.get_type_hints(self.record)
        return {field.name: _codec(hints[field.name]) for field in dataclasses.fields(self.record)}  # type: ignore[arg-type]

    @cached_property
    def _decoders(self) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
        return tuple((place, codec[1]) for place, codec in enumerate(self._codecs.values()) if codec)

    @cached_property
    def columns(self) -> str:
        """The columns, as SQL names them, in the order of `load`."""
        return ", ".join(f'"{name}"' for name in self._codecs)

    @cached_property
    def upsert(self) -> str:
        """The statement that writes one record."""
        marks = ", ".join("?" for _ in self._codecs)
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in self._codecs if name != self.key)
        action = f"DO UPDATE SET {sets}" if sets else "DO NOTHING"
        return f'INSERT INTO {self.name} ({self.columns}) VALUES ({marks}) ON CONFLICT ("{self.key}") {action}'  # noqa: S608

    @cached_property
    def by_keys(self) -> str:
        """The query for the records whose keys are in one JSON array."""
        return f'SELECT {self.columns} FROM {self.name} WHERE "{self.key}" IN (SELECT value FROM json_each(?))'  # noqa: S608

    @cached_property
    def delete(self) -> str:
        """The statement that deletes one record by its key."""
        return f'DELETE FROM {self.name} WHERE "{self.key}" = ?'  # noqa: S608

    def key_of(self, record: T) -> str | int:
        """Return the record's key."""
        found: str | int = getattr(record, self.key)
        return found

    def write(self, before: T | None, after: T) -> tuple[str, list[SqlValue]]:
        """Return the statement that writes a record, and its parameters; `before` is the row that is there, if any."""
        new = vars(after)
        if before is None:
            return self.upsert, self._encoded(new, self._codecs)
        old = vars(before)
        # An index of columns that stay what they are is left alone.
        changed = tuple(name for name in self._codecs if new[name] is not old[name]) or (self.key,)
        return _update(self.name, self.key, changed), self._encoded(new, (*changed, self.key))

    def _encoded(self, fields: Mapping[str, Any], names: Iterable[str]) -> list[SqlValue]:
        return [codec[0](fields[name]) if (codec := self._codecs[name]) else fields[name] for name in names]

    def load(self, row: Sequence[SqlValue]) -> T:
        """Return a row, its columns in our order, as a record."""
        values = list(row)
        for place, decode in self._decoders:
            values[place] = decode(values[place])
        return _made(self.record, dict(zip(self._codecs, values, strict=True)))


@cache
def _update(table: str, key: str, columns: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{name}" = ?' for name in columns)
    return f'UPDATE {table} SET {sets} WHERE "{key}" = ?'  # noqa: S608 - ours, not input


def table(record: type[T], name: str, key: str) -> Table[T]:
    """Keep a frozen dataclass without slots in the table `name`; the field `key` (str or int) is its primary key.

    Fields may be str, int, float, bool, bytes, a `StrEnum`, an aware `datetime`, `tuple[str, ...]`, a protobuf message,
    or one of them or None.
    """
    return Table(name, key, record)


def _codec(hint: Any) -> Codec:  # noqa: ANN401, PLR0911 - a type is what it is
    if isinstance(hint, types.UnionType):
        (inner,) = [part for part in typing.get_args(hint) if part is not types.NoneType]
        codec = _codec(inner)
        if codec is None:
            return None
        encode, decode = codec
        return lambda v: None if v is None else encode(v), lambda v: None if v is None else decode(v)
    if typing.get_origin(hint) is tuple:
        return lambda v: json.dumps(v) if v else EMPTY, lambda v: () if v == EMPTY else tuple(json.loads(v))
    if issubclass(hint, Message):
        return lambda v: v.SerializeToString(), hint.FromString
    if issubclass(hint, datetime):
        return micros, moment
    if issubclass(hint, bool):
        return int, bool
    if issubclass(hint, StrEnum):
        return str, hint
    if issubclass(hint, str | int | float | bytes):
        return None
    raise TypeError(f"{hint} can't be a column")
