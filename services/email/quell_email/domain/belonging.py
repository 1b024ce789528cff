"""Whose address it is where mail goes to: the organisation's own, or somebody's outside."""

import re
from collections.abc import Collection, Iterator
from enum import StrEnum, auto
from urllib.parse import unquote_to_bytes

ANYTHING = b"\0"
"""Stands in an address for what can't be told."""


class Whose(StrEnum):
    """Whose an address is. NOBODYS: no mail can go there, or none leaves the server."""

    OURS = auto()
    OUTSIDE = auto()
    UNCLEAR = auto()
    NOBODYS = auto()


_LOCAL = rb'(?:[^\s<>()@%!",;:\\\[\]\0]+|"[^"\\@%!\r\n\0]*")'
"""A local part. With `@`, `%` or `!` in it a mail server may read it as an address of its own, and send it on."""
_DOMAIN = rb"([^\s<>()@\",;:\\\[\]\0]+)"
_PLAIN = re.compile(rb"\s*" + _LOCAL + rb"@" + _DOMAIN + rb"\s*")
_NAMED = re.compile(rb'[^<>()@",;:\\\[\]\0]*<\s*' + _LOCAL + rb"@" + _DOMAIN + rb"\s*>\s*")
_KNOWN_END = re.compile(rb".*\0[^\s<>()@\",;:\\\[\]\0]*@" + _DOMAIN, re.DOTALL)
_MAILTO = re.compile(rb"\s*mailto:([^?]*)(?:\?(.*))?", re.IGNORECASE | re.DOTALL)
_RECIPIENTS = frozenset({b"to", b"cc", b"bcc"})


def domain_of(text: str) -> str:
    """Return a domain as addresses are held against it: in lower case, in its ASCII form.

    Raises:
        ValueError: It is no domain.

    """
    found = _ascii(text.encode())
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", found):
        raise ValueError("a mail domain is needed, as in example.org")
    return found


def whose(address: bytes, domains: Collection[str]) -> Whose:
    """Tell whose an address is. Only what is plainly ours is ours.

    `domains` are as `domain_of` has them, each without what is under it.
    """
    if b"@" not in address and ANYTHING not in address:
        return Whose.NOBODYS
    found = _PLAIN.fullmatch(address) or _NAMED.fullmatch(address) or _KNOWN_END.fullmatch(address)
    if found:
        return Whose.OURS if _ascii(found[1]) in domains else Whose.OUTSIDE
    return Whose.UNCLEAR if ANYTHING in address else Whose.OUTSIDE


def shown(address: bytes) -> str:
    """Return an address for people, without a name before it; what can't be told is `…`."""
    named = _NAMED.fullmatch(address)
    bare = address[address.index(b"<") + 1 : address.rindex(b">")] if named else address
    return bare.strip().decode("utf-8", "replace").replace("\0", "…")


def recipients(uri: bytes) -> Iterator[bytes]:
    """Yield the addresses that a `mailto` URI names (RFC 6068); none if it is another kind of URI."""
    found = _MAILTO.fullmatch(uri)
    if ANYTHING in uri:
        # What is not known may hold more recipients, wherever it stands.
        if found or ANYTHING in uri.partition(b":")[0]:
            yield ANYTHING
    elif found:
        yield from map(unquote_to_bytes, filter(None, found[1].split(b",")))
        for header in (found[2] or b"").split(b"&"):
            name, _, value = header.partition(b"=")
            if unquote_to_bytes(name).strip().lower() in _RECIPIENTS:
                yield from filter(None, unquote_to_bytes(value).split(b","))


def _ascii(domain: bytes) -> str:
    try:
        return domain.decode().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        return ""
