"""What we know of a message from its bytes."""

import hashlib
import re
from dataclasses import dataclass

_PREFIX = re.compile(r"\s*(?:(?:re|fwd?|aw|wg|sv|vs|antw|tr|rv|r|i)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Headers:
    """What the header block says. Texts are decoded; `message_id` is without angle brackets, addresses as written."""

    message_id: str
    subject: str
    senders: tuple[str, ...]
    sender_ip: str
    content_type: str


def normal_subject(subject: str) -> str:
    """Return a subject as clusters compare it: no reply and forward prefixes, no case, single spaces."""
    return " ".join(_PREFIX.sub("", subject, count=1).casefold().split()) if subject else ""


def url_mark(canonical: str) -> bytes:
    """Return what stands for a URL in canonical form among the marks of a body."""
    return hashlib.sha256(b"url\0" + canonical.encode()).digest()[:16]


def attachment_mark(sha256: str) -> bytes:
    """Return what stands for a decoded part of this SHA-256 among the marks of a body."""
    return bytes.fromhex(sha256)[:16]


def within(domain: str, parent: str) -> bool:
    """Tell whether a domain is another, or below it; both in lower case, without a dot at the end."""
    return domain == parent or domain.endswith(f".{parent}")
