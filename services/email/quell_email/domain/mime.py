"""Reading mail from its raw bytes, by offsets, within limits that are checked before anything is read further.

The standard library's parser is a bomb's target (100,000 parts: 19 s) and re-folds what it writes. This one keeps to
bytes, goes through them a bounded number of times, and refuses what is beyond every honest message.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message

MAX_HEADER_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_VALUE = 8192
"""Of a header that is decoded: more is cut off, or for a structure refused, since decoding takes quadratic time."""
_BLANK = re.compile(rb"\r?\n\r?\n")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_FOLD = re.compile(rb"\r?\n[ \t]")


class UnparsableError(Exception):
    """It can't be read within the limits. Never taken for clean."""


@dataclass(frozen=True, slots=True)
class Part:
    """One entity: its headers by lower-case name, the first of each, and where its body lies in the message."""

    headers: dict[str, bytes]
    start: int
    end: int
    content_type: str
    boundary: str

    def content(self, raw: bytes) -> bytes:
        """Return the body, its transfer encoding taken off."""
        body = raw[self.start : self.end]
        encoding = self.headers.get("content-transfer-encoding", b"").strip().lower()
        if encoding == b"quoted-printable":
            return binascii.a2b_qp(body)
        if encoding == b"base64":
            digits = body.translate(None, _NOT_BASE64)
            return binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")
        return body


def header_block(raw: bytes) -> bytes:
    """Return the message's own headers.

    Raises:
        UnparsableError: They are larger than any honest ones.

    """
    return raw[: _header_end(raw, 0, len(raw))[0]]


def parse_headers(block: bytes) -> dict[str, bytes]:
    """Return the first header of each name, in lower case, unfolded."""
    found: dict[str, bytes] = {}
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower().decode("latin-1"), value.strip())
    return found


def parse_all(block: bytes, name: str) -> list[str]:
    """Return the values of every header of that name, from the top, unfolded."""
    lines = (line.partition(b":") for line in _FOLD.sub(b" ", block).split(b"\n"))
    wanted = name.encode()
    return [value.strip()[:MAX_VALUE].decode("latin-1") for key, _, value in lines if key.strip().lower() == wanted]


def parts(raw: bytes) -> Iterator[Part]:
    """Yield every leaf, in order.

    Raises:
        UnparsableError: Too deep, too many, or not to be read as its reader would.

    """
    open_parts = [(0, len(raw), 0)]
    count = 0
    while open_parts:
        start, end, depth = open_parts.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_PARTS:
            raise UnparsableError("too many parts, or too deep")
        part = _part(raw, start, end)
        inner = []
        if part.content_type.startswith("multipart/"):
            inner = [(*span, depth + 1) for span in _spans(raw, part)]
        elif part.content_type == "message/rfc822":
            inner = [(part.start, part.end, depth + 1)]
        open_parts.extend(reversed(inner))
        if not part.content_type.startswith("multipart/"):
            yield part


def decoded(value: bytes) -> str:
    """Return a header's text: encoded words decoded, what no charset explains replaced, no control characters."""
    text = value[:MAX_VALUE].decode("utf-8", "replace")
    try:
        pieces = decode_header(text)
    except (ValueError, LookupError):
        pieces = [(text, None)]
    joined = "".join(
        piece if isinstance(piece, str) else to_text(piece, charset or "utf-8") for piece, charset in pieces
    )
    return "".join(sign if sign.isprintable() else " " for sign in joined).strip()


def to_text(raw: bytes, charset: str) -> str:
    """Return text in a charset that the message names; an unknown or a wrong one does not lose it."""
    try:
        return raw.decode(charset, "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def parameter(headers: dict[str, bytes], name: str) -> str:
    """Return a parameter of Content-Type, continuations joined; empty if there is none."""
    message = Message()
    message["Content-Type"] = _content_type(headers)
    found = message.get_param(name, "")
    return found[2] if isinstance(found, tuple) else str(found)


def _content_type(headers: dict[str, bytes]) -> str:
    value = headers.get("content-type", b"")
    if len(value) > MAX_VALUE:
        raise UnparsableError("a content type that long")
    return value.decode("ascii", "replace").replace("\r", "")


def _part(raw: bytes, start: int, end: int) -> Part:
    head_end, body = _header_end(raw, start, end)
    headers = parse_headers(raw[start:head_end])
    content_type = _content_type(headers).partition(";")[0].strip().lower()
    if "/" not in content_type:
        content_type = "text/plain"
    boundary = parameter(headers, "boundary").rstrip() if content_type.startswith("multipart/") else ""
    return Part(headers, body, end, content_type, boundary)


def _header_end(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where the headers end and where the body begins."""
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return start, raw.index(b"\n", start) + 1
    limit = min(end, start + MAX_HEADER_BYTES)
    found = _BLANK.search(raw, start, limit)
    if found:
        return found.start(), found.end()
    if limit < end:
        raise UnparsableError("headers that large")
    return end, end


def _spans(raw: bytes, part: Part) -> list[tuple[int, int]]:
    """Return where the parts of a multipart lie."""
    if not part.boundary:
        raise UnparsableError("a multipart without a boundary")
    line = re.compile(rb"(?:(?<![^\n])|\r?\n)--" + re.escape(part.boundary.encode()) + rb"(--)?[ \t]*\r?(?:\n|\Z)")
    found: list[tuple[int, int]] = []
    begin = None
    at = part.start
    while (mark := line.search(raw, at, part.end)) is not None:
        if begin is not None:
            found.append((begin, max(begin, mark.start())))
        if mark[1]:
            return found
        if len(found) > MAX_PARTS:
            raise UnparsableError("too many parts")
        begin = mark.end()
        # The line end of one boundary may be the line break before the next.
        at = begin
    return [*found, (begin, part.end)] if begin is not None else found
