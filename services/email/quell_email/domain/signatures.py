"""What a change of the body means for the signatures of the servers that a message came by (DKIM, RFC 6376).

Nothing is verified: that would need the senders' keys, from DNS. What the signature says that it covers is enough.
"""

import re
from enum import StrEnum, auto

from quell_email.domain.headers import parse_all

_LENGTH = re.compile(r"(?:\A|;)\s*l\s*=\s*(\d+)\s*(?:;|\Z)")


class Signature(StrEnum):
    """Whether the DKIM signatures still verify, if they did before."""

    NONE = auto()
    """There are none."""
    KEPT = auto()
    """They cover headers only."""
    DOUBTFUL = auto()
    """They cover the beginning of the body (`l=`): maybe not what is changed."""
    BROKEN = auto()
    """One covers the whole body."""


def after_change(block: bytes) -> Signature:
    """Return what becomes of the signatures in a message's headers when its body changes."""
    found = [_LENGTH.search(value) for value in parse_all(block, "dkim-signature")]
    if not found:
        return Signature.NONE
    lengths = [int(length[1][:20]) if length else None for length in found]
    if None in lengths:
        return Signature.BROKEN
    return Signature.DOUBTFUL if any(lengths) else Signature.KEPT
