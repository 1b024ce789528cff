"""The filter language: comparisons joined by AND, a small part of AIP-160. Read once, asked of database and records.

`state = PENDING_APPROVAL AND create_time > "2026-11-01T00:00:00Z"`. A value is a bare word, or a string in double
quotes. What is not set equals nothing, differs from everything, and is neither less nor more than anything.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from quell_runtime.errors import InvalidError
from quell_runtime.listing.fields import Field, WordInvalidError
from quell_runtime.store import SqlValue

R = TypeVar("R")
TOKEN = re.compile(
    r'\s*(?:"(?P<string>(?:[^"\\]|\\.)*)"|(?P<sign><=|>=|!=|=|<|>)|(?P<word>[^\s"<>=!()]+))\s*', re.DOTALL
)
SQL_SIGN = {"=": "=", "!=": "IS NOT", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MOST = 20
"""Comparisons in one filter."""


class FilterInvalidError(InvalidError):
    """The filter can't be read; the message says where, and what may stand there."""

    reason = "FILTER_INVALID"

    def __init__(self, message: str) -> None:
        """Name the request's field, which has the same name wherever there is a filter."""
        super().__init__(message, "filter")


@dataclass(frozen=True, slots=True)
class Comparison(Generic[R]):
    """One field against one value, as the database holds it."""

    field: Field[R]
    sign: str
    value: SqlValue

    def fits(self, record: R) -> bool:
        """Tell whether a record is so."""
        found = self.field.get(record)
        if self.field.many:
            return self.value in found
        if found is None:
            return self.sign == "!="
        return COMPARE[self.sign](found, self.value)

    @property
    def sql(self) -> str:
        """The condition, with a mark for the value."""
        if self.field.many:
            return f"EXISTS (SELECT 1 FROM json_each({self.field.column}) WHERE value = ?)"  # noqa: S608 - ours
        return f"{self.field.column} {SQL_SIGN[self.sign]} ?"


@dataclass(frozen=True, slots=True)
class Filter(Generic[R]):
    """What records must be like: every comparison holds."""

    comparisons: tuple[Comparison[R], ...] = ()

    def fits(self, record: R) -> bool:
        """Tell whether a record is so."""
        return all(comparison.fits(record) for comparison in self.comparisons)

    def narrowed(self, field: Field[R], value: SqlValue) -> "Filter[R]":
        """Return the filter for which a field must have a value besides."""
        return Filter((*self.comparisons, Comparison(field, "=", value)))

    @property
    def sql(self) -> str:
        """The condition, with a mark for each of `parameters`; no text of a request is in it."""
        return " AND ".join(one.sql for one in self.comparisons) or "TRUE"

    @property
    def parameters(self) -> tuple[SqlValue, ...]:
        """The values, in the order of their marks."""
        return tuple(one.value for one in self.comparisons)


def parse(text: str, fields: Mapping[str, Field[R]]) -> Filter[R]:
    """Read a filter over these fields; an empty one fits everything.

    Raises:
        FilterInvalidError: It can't be read, or names what is not there.

    """
    tokens = _tokens(text)
    parts = [tokens[start : start + 4] for start in range(0, len(tokens), 4)]
    if len(parts) > MOST:
        raise FilterInvalidError(f"at most {MOST} comparisons in one filter")
    found = tuple(_comparison(part, fields) for part in parts)
    if parts and len(parts[-1]) > 3:  # noqa: PLR2004 - a field, a sign, a value
        raise FilterInvalidError("a comparison follows AND")
    return Filter(found)


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = len(text) - len(text.lstrip())
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise FilterInvalidError(f"at character {at + 1} stands what is neither a field, nor a sign, nor a value")
        kind = str(match.lastgroup)
        found.append((kind, re.sub(r"\\(.)", r"\1", match[kind]) if kind == "string" else match[kind]))
        at = match.end()
    return found


def _comparison(part: list[tuple[str, str]], fields: Mapping[str, Field[R]]) -> Comparison[R]:
    if len(part) < 3:  # noqa: PLR2004 - a field, a sign, a value
        raise FilterInvalidError("it ends in the middle: a comparison is a field, a sign and a value")
    (kind, name), (second, sign), (third, value), *joint = part
    if kind != "word" or name not in fields:
        raise FilterInvalidError(f"there is no field {name:.64}; there are {', '.join(fields)}")
    field = fields[name]
    if second != "sign" or sign not in field.signs:
        raise FilterInvalidError(f"after {name} stands one of {' '.join(field.signs)}")
    if third == "sign":
        raise FilterInvalidError(f"after {name} {sign} stands a value, a word or a string in double quotes")
    if joint not in ([], [("word", "AND")]):
        raise FilterInvalidError("comparisons are joined by AND, and by nothing else")
    try:
        return Comparison(field, sign, field.read(value))
    except WordInvalidError as wrong:
        raise FilterInvalidError(f"{name} is {wrong}") from None
