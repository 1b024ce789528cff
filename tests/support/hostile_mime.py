"""Mail as nobody would write it who meant well, and what an honest reader finds in it.

`messages` are trees of parts with ugly but clear structure; `broken` are such messages with bytes changed. Both are
Hypothesis strategies, so what fails is made small, and its seed is printed.
"""

import base64
import binascii
import random
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

Break = Callable[[], bytes]
BOUNDARIES = ["b", "bb", "=_x.y*z+(1)", "a b", "'q'", "--", "0" * 70, "----=_NextPart_000_01D9", "b" * 69 + "?"]
MULTIPARTS = ["mixed", "alternative", "related", "digest", "report", "x-own"]
NAMES = ["evil.exe", "bill (1).pdf", "naïve €.zip", "C:\\tmp\\evil.exe", "a;b=c.js", 'quo"te.vbs', "x" * 200 + ".bin"]
HEADERS = [
    b"X-Eight: \xff\xfe\xe4\x80",
    b"X-Long: " + b"y" * 3000,
    b"X-Folded: a\n\tb\n  c",
    b"Subject: =?utf-8?q?unfinished",
    b"Subject: =?x-none?b?4oKs?=",
    b"Content-Description: =?iso-8859-1?q?f=FCr?=",
    b"Content-ID: <part@evil.example>",
    b"X-Empty:",
    b"DKIM-Signature: v=1; a=rsa-sha256; l=10; b=x",
]
TYPES = [
    b"application/octet-stream",
    b"text/plain; charset=utf-16",
    b"text/html; charset=x-none",
    b"text/plain (a comment); charset=us-ascii",
    b"IMAGE/PNG",
    b"application/x-zip-compressed",
    b"",
]
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\0" * 50, b"--b\n\n--b--\n", b"x" * 5000, b"From me\n.\n", b"\r\r\n\n\r", b"a\n" * 50]),
)
LINES = st.sampled_from(
    [b"", b"\0", b"not a header", b"--", b"--b", b"--b--", b"Content-Type: text/html", b" x", b"\r"]
)


@dataclass(frozen=True)
class Leaf:
    """A leaf as it was put in: its number as IMAP counts, its decoded content, the names that it was given."""

    number: str
    content: bytes
    names: tuple[str, ...]


@dataclass(frozen=True)
class Mail:
    """A message, and its leaves in order."""

    raw: bytes
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True)
class _Entity:
    """Headers and body, and the leaves by their numbers below it; "" is the entity itself."""

    head: bytes
    body: bytes
    leaves: tuple[Leaf, ...]
    multipart: bool = False


@st.composite
def messages(draw: st.DrawFn) -> Mail:
    """Draw a message with a structure that every reader sees alike, however ugly it is."""
    breaks = draw(st.sampled_from([(b"\n",), (b"\r\n",), (b"\n", b"\r\n")]))
    seen: set[str] = set()
    chance = random.Random(draw(st.integers(0, 1000)))  # noqa: S311 - no secret
    entity = _entity(draw, lambda: chance.choice(breaks), seen, 0)
    top = b"".join(draw(st.lists(st.sampled_from([b"From: <a@evil.example>", b"MIME-Version: 1.0"]), unique=True)))
    head = _lines(top.replace(b"MIME", b"\nMIME").strip() + b"\n", lambda: breaks[0]) if top else b""
    return Mail(head + entity.head + entity.body, _within("", entity, message=True))


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Draw a message that somebody has cut into, put lines into, or doubled pieces of."""
    raw = draw(messages()).raw
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        line = raw.find(b"\n", at) + 1
        end = min(len(raw), at + draw(st.integers(0, 40)))
        way = draw(st.sampled_from(["cut", "line", "double", "byte"]))
        if way == "cut":
            raw = raw[:at] + raw[end:]
        elif way == "line":
            raw = raw[:line] + draw(LINES) + draw(st.sampled_from([b"\n", b"\r\n", b"\r"])) + raw[line:]
        elif way == "double":
            raw = raw[:line] + raw[at:end] + raw[line:]
        else:
            raw = raw[:at] + draw(st.binary(min_size=1, max_size=3)) + raw[at:]
    return raw


def _entity(draw: st.DrawFn, end: Break, seen: set[str], depth: int) -> _Entity:
    shapes = ["leaf"] if depth > 3 else ["leaf", "multipart", "multipart", "message"]
    shape = draw(st.sampled_from(shapes))
    if shape == "leaf":
        return _leaf(draw, end)
    if shape == "message":
        inner = _entity(draw, end, seen, depth + 1)
        head = _lines(b"Content-Type: message/rfc822\n" + _some_headers(draw) + b"\n", end)
        body = inner.head + inner.body
        return _Entity(head, body, (Leaf("", body, ()), *_within("", inner, message=True)))
    return _multipart(draw, end, seen, depth)


def _multipart(draw: st.DrawFn, end: Break, seen: set[str], depth: int) -> _Entity:
    left = [one for one in BOUNDARIES if not any(one.startswith(other) or other.startswith(one) for other in seen)]
    boundary = draw(st.sampled_from(left)) if left else f"{len(seen)}-deep"
    seen.add(boundary)
    subtype = draw(st.sampled_from(MULTIPARTS))
    children = [_entity(draw, end, seen, depth + 1) for _ in range(draw(st.integers(1, 3)))]
    pieces = [_lines(draw(st.sampled_from([b"", b"preamble\n", b"\0\n\n"])), end)]
    leaves: list[Leaf] = []
    for index, child in enumerate(children, start=1):
        untyped = subtype == "digest" and b"content-type:" not in child.head.lower()
        pieces += [_lines(b"--" + boundary.encode() + draw(st.sampled_from([b"", b" ", b" \t"])) + b"\n", end)]
        pieces += [_lines(b"Content-Type: text/plain\n", end) if untyped else b"", child.head, child.body, end()]
        leaves += _within(str(index), child, message=False)
    if draw(st.booleans()) or depth:
        pieces += [b"--", boundary.encode(), b"--", _lines(draw(st.sampled_from([b"\n", b"\nepilogue\n\n"])), end)]
    else:
        pieces.pop()
    quoted = f'"{boundary}"' if draw(st.booleans()) or not boundary.isalnum() else boundary
    head = _lines(f"Content-Type: multipart/{subtype}; boundary={quoted}\n".encode() + _some_headers(draw) + b"\n", end)
    return _Entity(head, b"".join(pieces), tuple(leaves), multipart=True)


def _leaf(draw: st.DrawFn, end: Break) -> _Entity:
    content = draw(CONTENTS)
    encoding = draw(st.sampled_from([b"base64", b"quoted-printable", b"BASE64", b"8bit", b""]))
    if b"64" in encoding.lower():
        body = _lines(base64.encodebytes(content).rstrip(b"\n"), end)
    elif encoding == b"quoted-printable":
        body = _lines(binascii.b2a_qp(content, istext=False, quotetabs=True).replace(b"-", b"=2D"), end)
    else:
        # A line break belongs to the boundary after it, so the end of the content must be none.
        content = body = _lines(content.replace(b"-", b"_").rstrip(b"\r\n"), end)
    said = draw(st.sampled_from(TYPES))
    name = draw(st.sampled_from(["", *NAMES]))
    lines = [b"Content-Type: " + said] if said else []
    lines += [b"Content-Transfer-Encoding: " + encoding] if encoding else []
    lines += [b"Content-Disposition: attachment" + _named(draw, name)] if name else []
    head = b"".join(line + b"\n" for line in lines) + _some_headers(draw)
    return _Entity(_lines(head + b"\n", end), body, (Leaf("", content, (name,) if name else ()),))


def _named(draw: st.DrawFn, name: str) -> bytes:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    half = len(encoded) // 6 * 3
    ways = [
        f'; filename="{escaped}"'.encode(),
        f"; filename*=utf-8''{encoded}".encode(),
        f"; filename*0*=utf-8''{encoded[:half]};\n filename*1*={encoded[half:]}".encode(),
        b'; filename="=?utf-8?b?' + base64.b64encode(name.encode()) + b'?="',
    ]
    return draw(st.sampled_from(ways))


def _some_headers(draw: st.DrawFn) -> bytes:
    return b"".join(line + b"\n" for line in draw(st.lists(st.sampled_from(HEADERS), max_size=3)))


def _lines(text: bytes, end: Break) -> bytes:
    """Give every line an end of its own."""
    first, *others = text.split(b"\n")
    return first + b"".join(end() + line for line in others)


def _within(prefix: str, entity: _Entity, *, message: bool) -> tuple[Leaf, ...]:
    """Return the leaves of an entity by their numbers below `prefix`; in a message, its body is the first part."""
    own = prefix if entity.multipart or not message else _below(prefix, "1")
    return tuple(Leaf(_below(own, leaf.number), leaf.content, leaf.names) for leaf in entity.leaves)


def _below(prefix: str, number: str) -> str:
    return ".".join(part for part in (prefix, number) if part)
