"""A message with its links made anew: the bytes of the parts that have some, and no others."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_LINE = 990
"""Octets of a line that goes through every server as it is (RFC 5322, 2.1.1, less what is put before it)."""
_LONG = re.compile(rb"[^\r\n]{%d}" % (MAX_LINE + 1))
_QUOTED = b"Content-Transfer-Encoding: quoted-printable\r\n"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new message, how many links it has from us, and the new transfer encoding of a body that is one part."""

    raw: bytes
    links: int
    encoding: str = ""


def rewritten(raw: bytes, parts: Sequence[Mapping[str, Any]], links: Sequence[str | None]) -> Rewritten:
    """Return the message with new links; `parts` as `read_links` tells them, `links` by a URL's number, None: keep it.

    A body that is one part has its headers from the message: they stay, and `encoding` tells what to set there.
    """
    pieces: list[bytes] = []
    count, at, top = 0, 0, ""
    for part in parts:
        content, changed = _content(part, links)
        if not changed:
            continue
        count += changed
        body, encoding = _encoded(content, part["encoding"], raw[part["start"] : part["end"]])
        if encoding != part["encoding"] and not part["top"]:
            field, end = part["field"]
            pieces += [raw[at:field], _QUOTED]
            at = end
        elif encoding != part["encoding"]:
            top = encoding
        pieces += [raw[at : part["start"]], body]
        at = part["end"]
    return Rewritten(b"".join([*pieces, raw[at:]]), count, top)


def _content(part: Mapping[str, Any], links: Sequence[str | None]) -> tuple[bytes, int]:
    """Return a part's new content, decoded, and how many links of it are new."""
    found: list[bytes] = []
    count = 0
    for piece in part["pieces"]:
        if isinstance(piece, str):
            found.append(base64.b64decode(piece))
            continue
        number, *texts = piece
        was, before, after = map(base64.b64decode, texts)
        link = links[number]
        count += link is not None
        found += [was] if link is None else [before, link.encode(part["charset"]), after]
    return b"".join(found), count


def _encoded(content: bytes, encoding: str, before: bytes) -> tuple[bytes, str]:
    """Return a body in its transfer encoding, and that: another only if the lines have become too long for it."""
    match encoding:
        case "base64":
            lines = base64.encodebytes(content).rstrip(b"\n").replace(b"\n", b"\r\n")
            return lines + (b"\r\n" if before.endswith(b"\n") else b""), encoding
        case "quoted-printable":
            return quoted(content), encoding
        case _ if _LONG.search(content) and not _LONG.search(before):
            return quoted(content), "quoted-printable"
        case _:
            return content, encoding


def quoted(content: bytes) -> bytes:
    """Return it in quoted-printable; line ends stay, and every other byte comes back as it is."""
    coder: Callable[[bytes], bytes] = binascii.b2a_qp
    return b"".join(
        line if line in (b"\r\n", b"\n") else coder(line).replace(b"=\n", b"=\r\n") for line in _lines(content)
    )


def _lines(content: bytes) -> list[bytes]:
    return re.split(rb"(\r?\n)", content)
