"""Pages of a list by keyset: each goes on after the last record of the one before, at any depth at the same cost.

A page token says after which values to go on, and is bound to the list that it was made for: another filter, order or
parent refuses it. It grants nothing, so it is not signed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from quell_runtime.errors import InvalidError
from quell_runtime.listing.fields import Field
from quell_runtime.listing.filters import Filter
from quell_runtime.store import SqlValue, Store, Table
from quell_runtime.store.connection import Query

R = TypeVar("R")
LARGEST = 1000
COUNTED = 10_000
BINDING_BYTES = 12
LONGEST = 2000
"""Characters of a token; ours are far shorter."""


class OrderInvalidError(InvalidError):
    """The list can't be in this order; the message says in which it can."""

    reason = "ORDER_INVALID"

    def __init__(self, message: str) -> None:
        """Name the request's field, which has the same name wherever there is an order."""
        super().__init__(message, "order_by")


class PageTokenInvalidError(InvalidError):
    """The token is not one of ours, or of another list."""

    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        """Name the request's field, which has the same name wherever there are pages."""
        super().__init__("it is not the next_page_token of a page of this same list: start anew without", "page_token")


@dataclass(frozen=True, slots=True)
class Order(Generic[R]):
    """By which fields a list is ordered, all in one direction; the last one has no ties."""

    fields: tuple[Field[R], ...]
    descending: bool

    @property
    def sql(self) -> str:
        """What follows ORDER BY."""
        way = " DESC" if self.descending else ""
        return ", ".join(f"{field.column}{way}" for field in self.fields)

    @property
    def after(self) -> str:
        """The condition for what comes after a record, with a mark for each field's value."""
        columns, marks = ", ".join(field.column for field in self.fields), ", ".join("?" for _ in self.fields)
        return f"({columns}) {'<' if self.descending else '>'} ({marks})"

    def place(self, record: R) -> list[SqlValue]:
        """Return where a record stands."""
        return [field.get(record) for field in self.fields]


def order_of(text: str, fields: Mapping[str, Field[R]], default: str, tie: Field[R]) -> Order[R]:
    """Read an order, `create_time desc`; ties by `tie`.

    Raises:
        OrderInvalidError: It can't be read, or there is no index for it.

    """
    name, *way = (text or default).split()
    allowed = [known for known, field in fields.items() if field.ordered_by]
    if name not in allowed or way not in ([], ["asc"], ["desc"]):
        raise OrderInvalidError(f"an order is one of {', '.join(allowed)}, then asc or desc")
    field = fields[name]
    return Order((field,) if field is tie else (field, tie), way == ["desc"])


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """One list: a table's records that fit, in an order."""

    table: Table[R]
    filter: Filter[R]
    order: Order[R]

    def token(self, last: R) -> str:
        """Return the token of the page after this record."""
        return encode([self._binding(), *self.order.place(last)])

    def _after(self, token: str) -> list[SqlValue]:
        values = decode(token)
        if len(values) != 1 + len(self.order.fields) or values[0] != self._binding():
            raise PageTokenInvalidError
        return values[1:]

    def _binding(self) -> str:
        return bound(self.table.name, self.filter.sql, self.filter.parameters, self.order.sql)

    def tail(self, after: Sequence[SqlValue], size: int) -> tuple[str, Sequence[SqlValue]]:
        """Return what follows FROM, and its parameters: what comes after a place, or from the beginning."""
        condition = f"({self.filter.sql})" + (f" AND {self.order.after}" if after else "")
        return f"WHERE {condition} ORDER BY {self.order.sql} LIMIT ?", (*self.filter.parameters, *after, size)

    async def page(self, store: Store, size: int, token: str) -> tuple[list[R], str]:
        """Return a page and the token of the next one, empty on the last.

        Raises:
            PageTokenInvalidError: The token is of another list, or of none.

        """
        tail, parameters = self.tail(self._after(token) if token else (), size + 1)
        found = await store.select(self.table, tail, parameters)
        return found[:size], self.token(found[size - 1]) if len(found) > size else ""

    async def total(self, store: Store) -> int:
        """Return how many there are, counted up to `COUNTED`."""
        inner = f"SELECT 1 FROM {self.table.name} WHERE {self.filter.sql} LIMIT {COUNTED}"  # noqa: S608 - ours
        (((found,),),) = await store.read([Query(f"SELECT count(*) FROM ({inner})", self.filter.parameters)])  # noqa: S608
        return cast("int", found)


def size_of(asked: int, default: int) -> int:
    """Return the size of a page for what was asked."""
    return min(asked or default, LARGEST)


def bound(*of: object) -> str:
    """Return the word that binds a token to what a list is of."""
    return hashlib.sha256(repr(of).encode()).hexdigest()[: 2 * BINDING_BYTES]


def encode(values: Sequence[SqlValue]) -> str:
    """Return values as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(token: str) -> list[Any]:
    """Return the values of a word; of one that is not ours, none."""
    if len(token) > LONGEST:
        return []
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(map(_storable, found)) else []


def _storable(value: object) -> bool:
    if isinstance(value, str):
        # JSON can spell halves of characters, which no database takes.
        return not any("\ud800" <= sign <= "\udfff" for sign in value)
    return isinstance(value, int) and abs(value) < 1 << 63
