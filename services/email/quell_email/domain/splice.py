"""Changing a few runs of bytes, and changing them back: what leads back is of the same shape as what leads there."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Piece:
    """`content[start:end]` becomes `text`."""

    start: int
    end: int
    text: bytes = field(repr=False)


class SpliceError(Exception):
    """The pieces do not fit what they are to be put into."""


def replaced(content: bytes, pieces: Sequence[Piece]) -> bytes:
    """Return the content with all pieces in place; every other byte is as it was.

    Raises:
        SpliceError: They are not in order, overlap, or lie outside.

    """
    found, at = [], 0
    for piece in pieces:
        if not at <= piece.start <= piece.end <= len(content):
            raise SpliceError("pieces overlap, or lie outside")
        found += [content[at : piece.start], piece.text]
        at = piece.end
    return b"".join([*found, content[at:]])


def inverse(content: bytes, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return the pieces that make `content` again out of what these make of it."""
    found, moved = [], 0
    for piece in pieces:
        start = piece.start + moved
        found.append(Piece(start, start + len(piece.text), content[piece.start : piece.end]))
        moved += len(piece.text) - (piece.end - piece.start)
    return tuple(found)


def restored(content: bytes, back: Sequence[Piece], sha256: str) -> bytes | None:
    """Return what the content was before, told by its digest; None if these pieces don't make that of it."""
    try:
        found = replaced(content, back)
    except SpliceError:
        return None
    return found if hashlib.sha256(found).hexdigest() == sha256 else None
