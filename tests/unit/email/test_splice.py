"""What is put in place of some bytes leads back to them exactly."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.splice import Piece, SpliceError, inverse, replaced, restored


@st.composite
def spliced(draw: st.DrawFn) -> tuple[bytes, tuple[Piece, ...]]:
    """Draw a content and pieces in order that do not overlap."""
    content = draw(st.binary(max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return content, tuple(Piece(start, end, draw(st.binary(max_size=20))) for start, end in pairs)


@given(spliced())
def test_the_inverse_leads_back(case: tuple[bytes, tuple[Piece, ...]]) -> None:
    """From whatever was put in place, to the very bytes, told by their digest."""
    content, pieces = case
    changed = replaced(content, pieces)
    back = inverse(content, pieces)
    assert restored(changed, back, hashlib.sha256(content).hexdigest()) == content
    assert inverse(changed, back) == pieces


@given(spliced())
def test_every_other_byte_is_as_it_was(case: tuple[bytes, tuple[Piece, ...]]) -> None:
    """What stands between the pieces is what stood there."""
    content, pieces = case
    left = replaced(replaced(content, [Piece(piece.start, piece.end, b"") for piece in pieces]), [])
    assert left == b"".join(bytes([byte]) for at, byte in enumerate(content) if not _in_one(at, pieces))


def _in_one(at: int, pieces: tuple[Piece, ...]) -> bool:
    return any(piece.start <= at < piece.end for piece in pieces)


@given(spliced(), st.binary(max_size=70))
def test_nothing_else_is_ever_restored(case: tuple[bytes, tuple[Piece, ...]], other: bytes) -> None:
    """What was changed since leads nowhere."""
    content, pieces = case
    found = restored(other, inverse(content, pieces), hashlib.sha256(content).hexdigest())
    assert found in (None, content)


@pytest.mark.parametrize("pieces", [[Piece(2, 1, b"")], [Piece(0, 9, b"")], [Piece(2, 3, b""), Piece(1, 2, b"")]])
def test_pieces_that_do_not_fit_are_refused(pieces: list[Piece]) -> None:
    """Nothing is guessed."""
    with pytest.raises(SpliceError):
        replaced(b"abcd", pieces)
