"""The links of a whole message, part by part. It runs in the child that reads hostile mail, and knows no key."""

import base64
import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from quell_email.domain import mime
from quell_email.domain.headers import parameters
from quell_email.links import markup, plain
from quell_email.links.spots import Spot

MAX_LINKS = 20_000
_HTML = frozenset({"text/html", "text/x-amp-html", "application/xhtml+xml"})
_NO_TEXT = frozenset(
    {"text/calendar", "text/x-vcard", "text/vcard", "text/directory", "text/csv", "text/xml", "text/css"}
)
"""Their addresses are data in a format of its own; nobody reads them as mail."""
_SEALED = frozenset({"multipart/signed", "multipart/encrypted"})
_INLINE_PGP = re.compile(rb"^-----BEGIN PGP (?:SIGNED )?MESSAGE-----\s*$.*^-----END PGP ", re.MULTILINE | re.DOTALL)
_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary", b"quoted-printable", b"base64"})
_FIELD = re.compile(rb"^content-transfer-encoding[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
_PLAIN = "".join(map(chr, range(32, 127)))
_CHARSETS = re.compile(r"(?:utf|iso|cp|koi8|euc|gb|big5|shift|mac|tis|hz|johab|ascii|kz|ptcp)")
"""How Python's names of charsets begin; it has other codecs, too."""
_WIDE = re.compile(r"(?:utf[-_](?:16|32|7)|hz)")
"""Those in which ASCII is not itself, and which mail programs read all the same."""
_BIG_END = (b"\xfe\xff", b"\0\0\xfe\xff")


def read_links(raw: bytes) -> dict[str, Any]:
    """Return every link, and for each part that has some what it is made of.

    `urls`: each URL once. `parts`: of each where its body lies, how it is encoded, and its pieces: text (base64 of its
    bytes), or a link: the URL's number, what stands there, and what stands around a new one. `left`: how many parts are
    not to be changed, by the reason; their URLs are told too.

    Raises:
        UnparsableError: It is beyond the limits.

    """
    urls: dict[str, int] = {}
    left: Counter[str] = Counter()
    parts = []
    for part in mime.parts(raw):
        if not _is_text(part) or part.encoding not in _ENCODINGS:
            continue
        content = part.content
        text, charset = _decoded(content, part)
        spots = list(_spots(text, part))
        for spot in spots:
            urls.setdefault(spot.url, len(urls))
        if len(urls) > MAX_LINKS:
            raise mime.UnparsableError("too many links")
        if spots and (reason := _reason(part, raw, content) or _misnamed(part, content, charset)):
            left[reason] += 1
        elif spots:
            parts.append(_told(part, charset, list(_pieces(text, charset, spots, urls))))
    return {"urls": list(urls), "parts": parts, "left": dict(left)}


def _is_text(part: mime.Part) -> bool:
    if part.headers.get("content-disposition", b"").lstrip().lower().startswith(b"attachment"):
        return False
    return part.content_type in _HTML or (part.content_type.startswith("text/") and part.content_type not in _NO_TEXT)


def _reason(part: mime.Part, raw: bytes, content: bytes) -> str:
    """Return why a part is left as it is; empty if it is not."""
    if any(each.content_type in _SEALED for each in part.above) or _INLINE_PGP.search(content):
        return "signed"
    return "" if part.raw is raw else "encoded"


def _misnamed(part: mime.Part, content: bytes, charset: str) -> str:
    """Return why a part is left as it is that names a wide charset and is not written in it.

    Some programs read it as it is written and others as it says, and who knows what they would make of other bytes.
    """
    named = [_codec(name, content) for name in parameters(mime.content_type_of(part.headers), "charset")[:1]]
    return "misnamed" if any(_WIDE.match(codec) and codec != charset for codec in named) else ""


def _spots(text: str, part: mime.Part) -> Iterator[Spot]:
    if part.content_type in _HTML:
        return markup.spots(text)
    unbroken = "yes" in (said.lower() for said in parameters(mime.content_type_of(part.headers), "delsp"))
    return plain.spots(text, unbroken=unbroken)


def _decoded(content: bytes, part: mime.Part) -> tuple[str, str]:
    """Return the text and the charset that leads back to its bytes.

    Where the named one is none, or wrong, UTF-8 is tried, and at last every byte stands for itself: links are ASCII
    wherever they are to be seen.
    """
    named = parameters(mime.content_type_of(part.headers), "charset")[:1]
    for charset in (*(_codec(name, content) for name in named), "utf-8"):
        try:
            text = content.decode(charset)
            if text.encode(charset).decode(charset) == text:
                return text, charset
        except ValueError:
            pass
    return content.decode("latin-1"), "latin-1"


def _codec(charset: str, content: bytes) -> str:
    """Return Python's name of a charset that mail is written in; of anything else that of ASCII."""
    try:
        name = codecs.lookup(charset).name.removesuffix("-sig")
        fits = _CHARSETS.match(name) and (_WIDE.match(name) or _PLAIN.encode().decode(name) == _PLAIN)
    except (LookupError, ValueError):
        fits = None
    if not fits:
        return "ascii"
    if name in ("utf-16", "utf-32"):
        # Its mark is kept as the first character, so that it stands once however often a piece is encoded.
        return name + ("-be" if content.startswith(_BIG_END) else "-le")
    return name


def _pieces(text: str, charset: str, spots: Iterable[Spot], urls: dict[str, int]) -> Iterator[object]:
    def coded(piece: str) -> str:
        return base64.b64encode(piece.encode(charset)).decode()

    at = 0
    for spot in spots:
        yield coded(text[at : spot.start])
        yield urls[spot.url], *map(coded, (text[spot.start : spot.end], spot.before, spot.after))
        at = spot.end
    yield coded(text[at:])


def _told(part: mime.Part, charset: str, pieces: list[object]) -> dict[str, Any]:
    field = _FIELD.search(part.block)
    span = [part.head + field.start(), part.head + field.end()] if field else [part.head, part.head]
    return {
        "start": part.start,
        "end": part.end,
        "encoding": part.encoding.decode("latin-1"),
        "charset": charset,
        "field": span,
        "top": not part.above,
        "pieces": pieces,
    }
