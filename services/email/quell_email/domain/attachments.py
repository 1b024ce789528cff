"""Which parts of a message an order means, and whether they can be taken out of it exactly.

Exactly: every reader agrees where the part begins and ends, and nothing that is signed or encrypted holds it. A part
is named by what any reader could call it; it is only touched where all readers see the same.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from quell_email.domain.headers import MAX_VALUE, fields, parameter_texts, parse_all
from quell_email.domain.mime import Part, UnparsableError, content_type_of, parts

SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"})
OPAQUE = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"})
"""What holds parts that nobody without the key, or without unpacking a signature, can see."""
ONCE = ("content-type", "content-transfer-encoding", "content-disposition", "mime-version")
"""Headers of structure: readers differ about which counts if there are two."""
_EMPTY_LINE = re.compile(rb"(?:\A|(?<=\n))\r?\n\Z")
_MBOX = re.compile(rb"From [^\r\n]*\r?\n")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an attachment is told: by one of these. `file_name` decoded, `part` as IMAP counts."""

    sha256: str = ""
    file_name: str = ""
    part: str = ""

    def means(self, part: Part) -> bool:
        """Tell whether a part is meant."""
        if self.part:
            return part.number == self.part
        if self.file_name:
            return plain_name(self.file_name) in {plain_name(name) for name in file_names(part)}
        return hashlib.sha256(part.content).hexdigest() == self.sha256


class CutError(Exception):
    """It can't be taken out exactly; `reason` in upper snake case."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


def meant(raw: bytes, wanted: Wanted) -> Sequence[Part]:
    """Return the parts that are meant, in order, none within another; empty if it can be told that there are none.

    Raises:
        UnreadableError: It can't be read within the limits.
        CutError: One of them can't be taken out exactly, or nobody can tell what there is.

    """
    found: list[Part] = []
    unseen = ""
    for part in parts(raw):
        unseen = unseen or _unseen(part)
        if wanted.means(part) and not (found and within(part.number, found[-1].number)):
            found.append(part)
    if unseen == "MESSAGE_PARTIAL" or (unseen and not found):
        raise CutError(unseen)
    seen: dict[int, Part] = {id(entity): entity for part in found for entity in (*part.above, part)}
    for reason in filter(None, map(_sealed, seen.values())):
        raise CutError(reason)
    if any(part.raw is not raw for part in found):
        raise CutError("ATTACHMENT_WRAPPED")
    gone = set(map(id, found))
    if not all(_plain(entity, holds=key not in gone) for key, entity in seen.items()):
        raise CutError("STRUCTURE_AMBIGUOUS")
    return found


def file_names(part: Part) -> list[str]:
    """Return every name that a reader could show for a part, decoded.

    Raises:
        UnparsableError: The header is longer than any honest one.

    """
    found = []
    for header, name in (("content-disposition", "filename"), ("content-type", "name")):
        for value in parse_all(part.block, header):
            if len(value) >= MAX_VALUE:
                raise UnparsableError("a header that long")
            found += parameter_texts(value, name)
    return found


def plain_name(name: str) -> str:
    """Return a file name as it is compared: without folders and without blanks around it, composed."""
    return unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1].strip())


def within(number: str, outer: str) -> bool:
    """Tell by their numbers whether a part lies within another."""
    return number.startswith(f"{outer}.")


def own_headers(part: Part) -> tuple[bytes, bytes]:
    """Return what stands before a part's headers (the mark of an mbox file), and the headers without the empty line."""
    block = _EMPTY_LINE.sub(b"", part.block)
    mark = _MBOX.match(block) if not part.above else None
    at = mark.end() if mark else 0
    return block[:at], block[at:]


def _unseen(part: Part) -> str:
    """Return why there may be more in a message than its parts, if this part says so."""
    if part.content_type == "message/partial" and not part.above:
        return "MESSAGE_PARTIAL"
    if part.content_type in OPAQUE or any(entity.content_type == "multipart/encrypted" for entity in part.above):
        return "MESSAGE_ENCRYPTED"
    return ""


def _sealed(entity: Part) -> str:
    """Return why nothing of an entity can be changed; empty if it can."""
    if entity.content_type in OPAQUE or entity.content_type == "multipart/encrypted":
        return "MESSAGE_ENCRYPTED"
    if entity.content_type in SIGNATURES or entity.content_type == "multipart/signed":
        return "MESSAGE_SIGNED"
    return "MESSAGE_PARTIAL" if entity.content_type == "message/partial" else ""


def _plain(entity: Part, *, holds: bool) -> bool:
    """Tell whether every reader finds the same headers and the same boundaries.

    No line begins like a boundary and is none; what is to go itself, and `holds` nothing, does not even name one.
    """
    found = fields(own_headers(entity)[1])
    names = [name for name, _ in found or ()]
    if found is None or any(names.count(name) > 1 for name in ONCE):
        return False
    if not content_type_of(entity.headers).lower().lstrip().startswith("multipart/"):
        return True
    if not holds or len(entity.boundaries) != 1:
        return False
    (boundary,) = entity.boundaries
    others = [other for outer in entity.above for other in outer.boundaries]
    if any(boundary.startswith(other) or other.startswith(boundary) for other in others):
        return False
    return len(list(entity.lines_like(boundary))) == len(list(entity.delimiters(boundary)))
