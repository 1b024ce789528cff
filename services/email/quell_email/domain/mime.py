"""Reading mail from its raw bytes, by offsets, within limits that are checked before anything is read further.

The standard library's parser is a bomb's target (100,000 parts: 19 s) and re-folds what it writes. This one keeps to
bytes, goes through them a bounded number of times, and refuses what is beyond every honest message.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from quell_email.domain.headers import MAX_VALUE, UnreadableError, parameters, parse_headers, uncommented

MAX_HEADER_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_PARTS = 1000
MESSAGES = ("message/rfc822", "message/global")
_BLANK = re.compile(rb"\r?\n\r?\n")
_TYPE = re.compile(r"\s*([^\s;()/]+/[^\s;()]*)")
_REST = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_TOKEN = re.compile(rb'[\s"]*([a-z0-9-]+)')
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class UnparsableError(UnreadableError):
    """It can't be read within the limits."""


class Delimiter(NamedTuple):
    """A boundary line, from the line break before it to its end."""

    start: int
    end: int
    closes: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One entity: where its headers, its body and its end lie in `raw`, and the first header of each lower-case name.

    `boundaries` are what separates its parts, in every way to read that; none if it is no multipart, or names none.
    `number` is as IMAP counts (RFC 9051, 6.4.5); a multipart that is a message's body has its message's, "" at the top.
    `above` are the entities that hold it, from the top; `raw` is the message, or a message in it that was encoded.
    """

    raw: bytes = field(repr=False)
    head: int
    start: int
    end: int
    headers: Mapping[str, bytes] = field(repr=False)
    content_type: str
    boundaries: tuple[bytes, ...]
    number: str
    above: tuple["Part", ...] = field(repr=False)

    @property
    def content(self) -> bytes:
        """Return the body, its transfer encoding taken off."""
        body = self.raw[self.start : self.end]
        encoding = self.encoding
        if encoding == b"quoted-printable":
            return binascii.a2b_qp(body)
        if encoding == b"base64":
            digits = body.translate(None, _NOT_BASE64)
            return binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")
        return body

    @property
    def encoding(self) -> bytes:
        """Return the name of its transfer encoding, in lower case; empty if it names none."""
        said = _TOKEN.match(self.headers.get("content-transfer-encoding", b"").lower())
        return said[1] if said else b""

    @property
    def block(self) -> bytes:
        """Return its headers and the empty line after them."""
        return self.raw[self.head : self.start]

    @property
    def is_multipart(self) -> bool:
        """Tell whether it says that it is made of parts."""
        return self.content_type.startswith("multipart/")

    def delimiters(self, boundary: bytes) -> Iterator[Delimiter]:
        """Yield each boundary line, up to the one that closes. The line break before it is its own."""
        for at in self.lines_like(boundary):
            rest = _REST.match(self.raw, at + len(boundary) + 2, self.end)
            if rest and self.raw[at - 1 : at] in (b"", b"\n"):
                yield Delimiter(self._line_break(at), rest.end(), closes=bool(rest[1]))
                if rest[1]:
                    return

    def lines_like(self, boundary: bytes) -> Iterator[int]:
        """Yield where in its body a line begins like a boundary line, if a bare CR ends a line as well."""
        mark = b"--" + boundary
        at = self.raw.find(mark, self.start, self.end)
        while at >= 0:
            if at == self.start or self.raw[at - 1] in b"\r\n":
                yield at
            at = self.raw.find(mark, at + len(mark), self.end)

    def _line_break(self, at: int) -> int:
        """Return where the line break before a line begins, as far as it lies in the body."""
        for end in (b"\r\n", b"\n"):
            if self.raw.endswith(end, self.start, at):
                return at - len(end)
        return at


@dataclass(frozen=True, slots=True)
class _Span:
    """Where an entity lies that is to be read; `index` None: it is a message, of the part `prefix`."""

    raw: bytes
    head: int
    end: int
    prefix: str
    index: int | None
    above: tuple[Part, ...]


def header_block(raw: bytes) -> bytes:
    """Return the message's own headers.

    Raises:
        UnparsableError: They are larger than any honest ones.

    """
    return raw[: _header_end(raw, 0, len(raw))[0]]


def parts(raw: bytes) -> Iterator[Part]:
    """Yield every leaf, in order; a message within a message too, before its own leaves.

    Raises:
        UnreadableError: Too deep, too many, or not to be read as its reader would.

    """
    spans = [_Span(raw, 0, len(raw), "", None, ())]
    count = 0
    while spans:
        span = spans.pop()
        count += 1
        if len(span.above) > MAX_DEPTH or count > MAX_PARTS:
            raise UnparsableError("too many parts, or too deep")
        part = _part(span)
        inside = _inside(part)
        spans.extend(reversed(inside))
        if not part.is_multipart:
            yield part
        elif not inside:
            # Its boundary is nowhere: readers show it as the text that it is.
            yield replace(part, content_type="text/plain", number=part.number or "1")


def content_type_of(headers: Mapping[str, bytes]) -> str:
    """Return what Content-Type says.

    Raises:
        UnparsableError: It is longer than any honest one.

    """
    value = headers.get("content-type", b"")
    if len(value) > MAX_VALUE:
        raise UnparsableError("a content type that long")
    return value.decode("latin-1")


def _part(span: _Span) -> Part:
    head_end, start = _header_end(span.raw, span.head, span.end)
    headers = parse_headers(span.raw[span.head : head_end])
    said = _TYPE.match(uncommented(content_type_of(headers)))
    content_type = said[1].lower() if said else "text/plain"
    if "content-type" not in headers and span.above and span.above[-1].content_type == "multipart/digest":
        content_type = "message/rfc822"
    index = span.index
    if index is None:
        number = span.prefix if content_type.startswith("multipart/") else _below(span.prefix, 1)
    else:
        number = _below(span.prefix, index)
    boundaries = _boundaries(headers) if content_type.startswith("multipart/") else ()
    return Part(span.raw, span.head, start, span.end, headers, content_type, boundaries, number, span.above)


def _boundaries(headers: Mapping[str, bytes]) -> tuple[bytes, ...]:
    said = (text.rstrip().encode("latin-1", "replace") for text in parameters(content_type_of(headers), "boundary"))
    return tuple(dict.fromkeys(text for text in said if text and not set(text) & set(b"\r\n")))


def _below(prefix: str, index: int) -> str:
    return f"{prefix}.{index}" if prefix else str(index)


def _inside(part: Part) -> list[_Span]:
    above = (*part.above, part)
    if part.is_multipart:
        return [_Span(part.raw, *span, part.number, index, above) for index, span in enumerate(_spans(part), start=1)]
    if part.content_type not in MESSAGES:
        return []
    if part.encoding in (b"base64", b"quoted-printable"):
        # Not to be encoded (RFC 2046, 5.2.1), but some readers open it all the same.
        content = part.content
        return [_Span(content, 0, len(content), part.number, None, above)]
    return [_Span(part.raw, part.start, part.end, part.number, None, above)]


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


def _spans(part: Part) -> list[tuple[int, int]]:
    """Return where the parts of a multipart lie."""
    if not part.boundaries:
        raise UnparsableError("a multipart without a boundary")
    found: list[tuple[int, int]] = []
    for boundary in part.boundaries:
        begin = None
        for line in part.delimiters(boundary):
            if begin is not None:
                # The line break of one boundary may be the one before the next.
                found.append((begin, max(begin, line.start)))
            if len(found) > MAX_PARTS:
                raise UnparsableError("too many parts")
            begin = None if line.closes else line.end
        if begin is not None:
            found.append((begin, part.end))
        if found:
            break
    return found
