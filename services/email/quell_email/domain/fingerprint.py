"""The fingerprint of a message's text: copies of a campaign share most of it, though names and links differ.

It is a MinHash (Broder, "On the resemblance and containment of documents", 1997): of all runs of three words, each
hashed to 16 numbers, the least of each number. Two texts agree in about as many of the 16 as they share of their runs.
Written `minhash1:` and 64 hex digits: 16 numbers of 16 bits, the least ones modulo 2^16.
"""

import hashlib
import html
import re
import struct
from collections.abc import Iterator

NEAR = 10
"""So many of the 16 numbers are the same in texts that are taken for copies."""
_NUMBERS = struct.Struct(">16I")
_BINS = struct.Struct(">16H")
_FORM = re.compile(r"minhash1:([0-9a-f]{64})")
_RUN = 3
_LONGEST = 200_000
"""Characters that are looked at: no campaign differs only after that."""
_TAG = re.compile(r"<(/?)([a-z]*)[^<>]*>", re.IGNORECASE)
_HIDDEN = frozenset({"head", "script", "style", "title"})
_OWN = ("://", "@", "www.")
_WORD = re.compile(r"[^\W\d_]+")


def fingerprint(text: str, *, is_html: bool) -> str:
    """Return the fingerprint of a text; empty if it has fewer than three words.

    Tags, scripts and styles of HTML do not count, nor do links, addresses, digits and case.
    """
    seen = text[:_LONGEST]
    if is_html:
        seen = html.unescape(" ".join(_shown(seen)))
    own = " ".join(word for word in seen.casefold().split() if not any(sign in word for sign in _OWN))
    words = _WORD.findall(own)
    runs = {" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}
    if not runs:
        return ""
    numbers = (_NUMBERS.unpack(hashlib.blake2b(run.encode()).digest()) for run in runs)
    return f"minhash1:{_BINS.pack(*(min(column) & 0xFFFF for column in zip(*numbers, strict=True))).hex()}"


def marks_of(written: str) -> frozenset[bytes]:
    """Return what stands for each number of a fingerprint among the marks of a body; nothing if it is not one."""
    found = _FORM.fullmatch(written)
    numbers = _BINS.unpack(bytes.fromhex(found[1])) if found else ()
    return frozenset(
        hashlib.sha256(f"text\0{place}\0{number}".encode()).digest()[:16] for place, number in enumerate(numbers)
    )


def _shown(text: str) -> Iterator[str]:
    """Yield what stands between tags, but for what no reader sees."""
    at, hidden = 0, ""
    for tag in _TAG.finditer(text):
        if not hidden:
            yield text[at : tag.start()]
        name = tag[2].lower()
        if name in _HIDDEN and not hidden and not tag[1]:
            hidden = name
        elif name == hidden and tag[1]:
            hidden = ""
        at = tag.end()
    if not hidden:
        yield text[at:]
