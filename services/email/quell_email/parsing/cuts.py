"""What the child is asked when an attachment is to be cut out of a message, and what it answers."""

import base64
import json
from typing import Any

from quell_email.domain.attachments import CutError, Wanted
from quell_email.domain.cutting import Cutting, Removed, cutting
from quell_email.domain.signatures import Signature
from quell_email.domain.splice import Piece


def asked(raw: bytes, wanted: Wanted) -> bytes:
    """Return the question: one line of JSON, then the message."""
    said = {"sha256": wanted.sha256, "file_name": wanted.file_name, "part": wanted.part}
    return json.dumps(said).encode() + b"\n" + raw


def read_cuts(question: bytes) -> dict[str, Any]:
    """Return the answer to a question, or the reason why nothing can be cut exactly.

    Raises:
        UnparsableError: The message is beyond the limits.

    """
    said, _, raw = question.partition(b"\n")
    try:
        found = cutting(raw, Wanted(**json.loads(said)))
    except CutError as refusal:
        return {"refused": refusal.reason}
    pieces = [(piece.start, piece.end, base64.b64encode(piece.text).decode()) for piece in found.pieces]
    removed = [(one.part, one.sha256, one.size, one.names) for one in found.removed]
    return {"pieces": pieces, "removed": removed, "signature": found.signature}


def told(answer: dict[str, Any]) -> Cutting:
    """Return what an answer says.

    Raises:
        CutError: It can't be done exactly.

    """
    if refused := answer.get("refused"):
        raise CutError(refused)
    pieces = tuple(Piece(start, end, base64.b64decode(text)) for start, end, text in answer["pieces"])
    removed = tuple(Removed(part, sha256, size, tuple(names)) for part, sha256, size, names in answer["removed"])
    return Cutting(pieces, removed, Signature(answer["signature"]))
