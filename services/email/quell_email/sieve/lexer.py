"""The tokens of a Sieve script with their places in its bytes (RFC 5228, 8.1).

It is stricter than servers are: what is not plainly one thing is an error, so that nothing is read here in one way and
there in another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto

from quell_email.domain.forwards import MOST_SCRIPT_BYTES

MOST_TOKENS = 30_000
"""Tokens of a script that is read: who has more has them so that it takes long."""


class SieveSyntaxError(ValueError):
    """It is no script that can be read. `offset` is where that shows."""

    def __init__(self, what: str, offset: int) -> None:
        """Say what is wrong and where."""
        super().__init__(f"{what} at byte {offset}")
        self.offset = offset


class Kind(StrEnum):
    """What a token is."""

    IDENTIFIER = auto()
    TAG = auto()
    NUMBER = auto()
    STRING = auto()
    MARK = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token: the bytes from `start` up to `end`.

    `text` is a string's content without quotes and escapes; an identifier or a tag (without its colon) in lower case;
    a number or a mark as it stands.
    """

    kind: Kind
    start: int
    end: int
    text: bytes


_GAP = re.compile(rb"(?:[ \t\n]|\r\n|#[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_TOKEN = re.compile(
    rb"""
    (?P<multiline> text: [ \t]* (?:\#[^\n]*)? \r?\n (?P<lines> (?: (?!\.\r?\n) [^\n]*\n )* ) \.\r?\n)
    | (?P<identifier> [a-z_][a-z0-9_]* )
    | (?P<tag> :[a-z_][a-z0-9_]* )
    | (?P<number> [0-9]+[kmg]? )
    | "(?P<string> (?: [^"\\] | \\. )* )"
    | (?P<mark> [;,{}()\[\]] )
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_STUFFED = re.compile(rb"^\.\.", re.MULTILINE)
_STRAY_RETURN = re.compile(rb"\r(?!\n)")
_MULTILINE = re.compile(rb"text:", re.IGNORECASE)


def tokens(script: bytes) -> Iterator[Token]:
    """Yield the tokens, without comments and white space.

    Raises:
        SieveSyntaxError: It can't be read.

    """
    if len(script) > MOST_SCRIPT_BYTES:
        raise SieveSyntaxError("too large", MOST_SCRIPT_BYTES)
    for pattern, what in ((re.compile(rb"\0"), "a NUL"), (_STRAY_RETURN, "a return without a line feed")):
        if stray := pattern.search(script):
            raise SieveSyntaxError(what, stray.start())
    place = _after_gap(script, 0)
    number = 0
    while place < len(script):
        number += 1
        if number > MOST_TOKENS:
            raise SieveSyntaxError("too long", place)
        found = _TOKEN.match(script, place)
        if not found or (found["identifier"] and _MULTILINE.match(script, place)):
            raise SieveSyntaxError("no token", place)
        yield _token(found)
        place = _after_gap(script, found.end())


def _after_gap(script: bytes, place: int) -> int:
    gap = _GAP.match(script, place)
    return gap.end() if gap else place


def _token(found: re.Match[bytes]) -> Token:
    match found.lastgroup:
        case "multiline":
            return Token(Kind.STRING, *found.span(), _STUFFED.sub(b".", found["lines"]))
        case "string":
            return Token(Kind.STRING, *found.span(), _ESCAPE.sub(rb"\1", found["string"]))
        case "tag":
            return Token(Kind.TAG, *found.span(), found["tag"][1:].lower())
        case "identifier":
            return Token(Kind.IDENTIFIER, *found.span(), found["identifier"].lower())
        case "number":
            return Token(Kind.NUMBER, *found.span(), found["number"])
        case _:
            return Token(Kind.MARK, *found.span(), found["mark"])
