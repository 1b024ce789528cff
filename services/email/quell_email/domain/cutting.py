"""Taking attachments out of the raw bytes: a notice takes the place of each, and all else stays, byte by byte.

Of a part's own headers those stay that are true of the notice as well; what says type, encoding, length or name of the
content goes. The message gets one X-Quell header, before all others, so that what signs those still covers them. The
notice is in base64: no sender can choose a boundary that occurs in it.
"""

import base64
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from quell_email.domain.attachments import CutError, Wanted, file_names, meant, own_headers, within
from quell_email.domain.headers import fields
from quell_email.domain.mime import Part, header_block, parts
from quell_email.domain.signatures import Signature, after_change
from quell_email.domain.splice import Piece, replaced

OF_CONTENT = frozenset(
    {"content-type", "content-transfer-encoding", "content-disposition", "content-md5", "content-length"}
)
NOTICE = """\
An attachment was removed from this message for security reasons.

{name}
{size} bytes, SHA-256 {sha256}

Whoever runs your mail can put it back.
"""
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Removed:
    """A part that was taken out: its number as IMAP counts, its decoded content, and the names that it had."""

    part: str
    sha256: str
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How to take out what is meant, and what that is; nothing if it is not there."""

    pieces: tuple[Piece, ...] = ()
    removed: tuple[Removed, ...] = ()
    signature: Signature = Signature.NONE


def cutting(raw: bytes, wanted: Wanted) -> Cutting:
    """Return how to take attachments out of a message.

    Raises:
        UnreadableError: It can't be read within the limits.
        CutError: It can't be done exactly, or nobody can tell whether it is there.

    """
    found = meant(raw, wanted)
    if not found:
        return Cutting()
    removed = tuple(_removed(part) for part in found)
    cuts = [_cut(part, one) for part, one in zip(found, removed, strict=True)]
    top = (*found[0].above, found[0])[0]
    at = top.head + len(own_headers(top)[0])
    pieces = (Piece(at, at, _header(raw, removed, _line_end(raw, at))), *cuts)
    _prove(raw, pieces, removed)
    signature = after_change(header_block(raw))
    # The headers of the only part are the message's own, and signed.
    broken = signature is not Signature.NONE and top is found[0]
    return Cutting(pieces, removed, Signature.BROKEN if broken else signature)


def _removed(part: Part) -> Removed:
    content = part.content
    return Removed(part.number, hashlib.sha256(content).hexdigest(), len(content), tuple(file_names(part)))


def _header(raw: bytes, removed: Sequence[Removed], end: bytes) -> bytes:
    # Two messages that differ only in how they wrote the same attachment must not become one.
    said = [f"message={hashlib.sha256(raw).hexdigest()}"]
    said += [f"part={one.part}; sha256={one.sha256}" for one in removed]
    return (f";{end.decode()} ".join(["X-Quell: attachment removed", *said]) + end.decode()).encode()


def _cut(part: Part, removed: Removed) -> Piece:
    mark, block = own_headers(part)
    start = part.head + len(mark)
    end = _line_end(part.raw, part.head)
    kept = b"".join(field for name, field in fields(block) or () if name not in OF_CONTENT)
    if kept and not kept.endswith(b"\n"):
        kept += end
    own = (
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: inline",
    )
    body = base64.encodebytes(_notice(removed)).splitlines()
    last = end if part.raw[start : part.end].endswith(b"\n") else b""
    return Piece(start, part.end, kept + end.join([*own, b"", *body]) + last)


def _notice(removed: Removed) -> bytes:
    name = removed.names[0][:MAX_NAME] if removed.names else ""
    shown = "".join(sign if sign.isprintable() else " " for sign in name)
    text = NOTICE.format(name=shown, size=removed.size, sha256=removed.sha256)
    return text.replace("\n", "\r\n").encode("utf-8", "replace")


def _line_end(raw: bytes, at: int) -> bytes:
    """Return how the line before a place ends; before all lines, how the first does."""
    found = raw.rfind(b"\n", 0, at)
    if found < 0:
        found = raw.find(b"\n")
    return b"\r\n" if raw[max(found - 1, 0) : found] == b"\r" else b"\n"


def _prove(raw: bytes, pieces: Sequence[Piece], removed: Sequence[Removed]) -> None:
    """Refuse what does not read afterwards as it did, but for the notices in place of what was taken out."""
    notices = {one.part: _notice(one) for one in removed}
    after = list(parts(replaced(raw, pieces)))
    said = {part.number: part.content for part in after if part.number in notices}
    if said != notices or _others(after, notices) != _others(list(parts(raw)), notices):
        raise CutError("STRUCTURE_AMBIGUOUS")


def _others(found: Sequence[Part], cut: Collection[str]) -> list[tuple[str, str, bytes, bytes]]:
    """Return all that is to stay of each part that was not cut, nor lies in one that was."""
    return [
        (
            part.number,
            part.content_type,
            part.block if part.above else b"",
            b"" if any(within(number, part.number) for number in cut) else part.raw[part.start : part.end],
        )
        for part in found
        if part.number not in cut and not any(within(part.number, number) for number in cut)
    ]
