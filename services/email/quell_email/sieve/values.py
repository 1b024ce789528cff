"""What a string in a Sieve script may be when mail comes: variables (RFC 5229) and encoded characters (RFC 5228)."""

import re
from collections.abc import Iterable, Mapping
from itertools import product

Values = frozenset[bytes]
"""All that a string may be. `ANYTHING` in one stands for what can't be told; a NUL can be in no script."""
Variables = dict[str, Values]
"""By name in lower case. What is not here was not set: it is empty."""

ANYTHING = b"\0"
UNKNOWN = frozenset({ANYTHING})
UNSET = frozenset({b""})
MOST_VALUES = 16
LONGEST = 1024

_ENCODED = re.compile(rb"\$\{(?:(hex)|unicode):\s*((?:[0-9a-f]+\s*)+)\}", re.IGNORECASE)
_REFERENCE = re.compile(rb"\$\{([a-z_][a-z0-9_]*|[0-9]+|[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)+)\}", re.IGNORECASE)
_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)


def plain_name(text: bytes) -> str | None:
    """Return the name of a variable that a script itself can set, or None."""
    name = text.decode("ascii", "replace")
    return name.lower() if _NAME.fullmatch(name) else None


def decoded(text: bytes) -> bytes:
    """Return a string with its encoded characters decoded."""
    return _ENCODED.sub(_character, text)


def _character(found: re.Match[bytes]) -> bytes:
    try:
        numbers = [int(number, 16) for number in found[2].split()]
        made = bytes(numbers) if found[1] else "".join(map(chr, numbers)).encode()
    except (ValueError, OverflowError):
        return ANYTHING
    # What would make a variable of what follows is nobody's honest spelling.
    return ANYTHING if any(byte in made for byte in b"\0${") else made


def expanded(text: bytes, variables: Mapping[str, Values]) -> Values:
    """Return all that a string may be, with its variables replaced."""
    parts: list[Values] = []
    place = 0
    for found in _REFERENCE.finditer(text):
        name = plain_name(found[1])
        parts += [frozenset({text[place : found.start()]}), variables.get(name, UNSET) if name else UNKNOWN]
        place = found.end()
    return bounded(map(b"".join, product(*_bounded(parts), [text[place:]])))


def _bounded(parts: list[Values]) -> list[Values]:
    number = 1
    for part in parts:
        number *= len(part)
    return parts if number <= MOST_VALUES else [UNKNOWN]


def bounded(values: Iterable[bytes]) -> Values:
    """Return what values there may be, or that it can't be told if there are too many, or any can be anything."""
    found = frozenset(values)
    long = any(len(value) > LONGEST for value in found)
    return UNKNOWN if long or ANYTHING in found or len(found) > MOST_VALUES else found


def joined(ways: Iterable[Variables]) -> Variables:
    """Return what variables may be after one of several ways."""
    known = list(ways)
    names = {name for way in known for name in way}
    return {name: bounded(value for way in known for value in way.get(name, UNSET)) for name in names}
