"""`.forward`: where a mail server sends a user's mail on to (Postfix, local(8)). Pure.

A line holds recipients, split by commas; one that begins with `#` is a comment. With nobody left in it the server
delivers to the mailbox, as if there were no such file.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from quell_email.domain.belonging import Whose, shown, whose
from quell_email.domain.forwards import TURNED_OFF, Judged

MOST_BYTES = 1 << 16
_ENTRY = re.compile(rb'(?:[^,"\\]|\\.|"(?:[^"\\]|\\.)*")+')
_LOCAL_USER = re.compile(rb"[a-z0-9_.+=-]+", re.IGNORECASE)
_FILTER = re.compile(rb"#\s*(exim|sieve)\s+filter", re.IGNORECASE)
_PROGRAM = re.compile(rb'\s*"?\s*\|')


@dataclass(frozen=True, slots=True)
class _Entry:
    text: bytes
    whose: Whose


class _UnclearError(Exception):
    """It can't be told what it does. The argument says why, for people."""


def judge(content: bytes, domains: Collection[str]) -> Judged:
    """Return what a `.forward` is like."""
    try:
        lines = [list(_entries(line, domains)) for line in _lines(content)]
    except _UnclearError as error:
        programs = (b" ".join(line.split()) for line in content.splitlines() if line.strip()[:1] not in (b"", b"#"))
        said = tuple(line.decode("utf-8", "replace")[:100] for line in programs)
        return Judged(TURNED_OFF, ("",), whole=str(error), rules=said[:50])
    entries = [entry for line in lines for entry in line]
    left = [b",".join(entry.text for entry in line if entry.whose is not Whose.OUTSIDE) for line in lines]
    if not any(entry.whose is Whose.OUTSIDE for entry in entries):
        return Judged(content, inside=_shown(entries, Whose.OURS))
    rest = tuple(entry.text.strip().decode("utf-8", "replace") for entry in entries if entry.whose is not Whose.OUTSIDE)
    kept = tuple(text for text in rest if text and not text.startswith("#"))
    return Judged(b"\n".join(left), _shown(entries, Whose.OUTSIDE), _shown(entries, Whose.OURS), rules=kept)


def _shown(entries: Collection[_Entry], belongs: Whose) -> tuple[str, ...]:
    found = (shown(_unquoted(entry.text.strip())) for entry in entries if entry.whose is belongs)
    return tuple(dict.fromkeys(found))


def _lines(content: bytes) -> list[bytes]:
    if len(content) > MOST_BYTES or b"\0" in content:
        raise _UnclearError("it can't be read")
    if _FILTER.match(content):
        raise _UnclearError("it is a program for a filter")
    return content.split(b"\n")


def _entries(line: bytes, domains: Collection[str]) -> Iterator[_Entry]:
    if line.startswith(b"#"):
        yield _Entry(line, Whose.NOBODYS)
        return
    place = 0
    while place <= len(line):
        found = _ENTRY.match(line, place)
        end = found.end() if found else place
        if line[end : end + 1] not in (b"", b","):
            raise _UnclearError("it can't be read")
        yield _Entry(line[place:end], _judged(line[place:end], domains))
        place = end + 1


def _judged(entry: bytes, domains: Collection[str]) -> Whose:
    if _PROGRAM.match(entry):
        raise _UnclearError("it gives mail to a program")
    bare = _unquoted(entry.strip())
    if not bare or _LOCAL_USER.fullmatch(bare) or bare.startswith(b"/"):
        return Whose.NOBODYS
    belongs = whose(bare, domains)
    if belongs is Whose.NOBODYS:
        raise _UnclearError("it holds what is no address")
    return belongs


def _unquoted(entry: bytes) -> bytes:
    """Return an entry without the quotes around it, and the backslash that keeps a server from looking further."""
    if entry[:1] == entry[-1:] == b'"' and b'"' not in entry[1:-1]:
        entry = entry[1:-1].strip()
    return entry.removeprefix(b"\\")
