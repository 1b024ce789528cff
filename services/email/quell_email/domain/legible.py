"""Whether a message answers what is asked, read no further than that needs."""

from typing import Protocol

from quell_email.domain.facts import Headers
from quell_email.domain.selection import Criterion


class Legible(Protocol):
    """A message that is read when asked, and only once."""

    @property
    def sha256(self) -> str:
        """The digest of its bytes."""

    def headers(self) -> Headers | None:
        """Return what its headers say, or None if they can't be read."""

    def marks(self) -> frozenset[bytes] | None:
        """Return the marks of its body, or None if it can't be read."""


def answers(message: Legible, wanted: Criterion) -> bool | None:
    """Tell whether a message answers the criterion, but for its place; None: it can't be read, so who knows.

    Cheap questions come first: the body is read only if all else is as asked.
    """
    if wanted.sha256 and (message.sha256 != wanted.sha256 or not wanted.legible):
        return message.sha256 == wanted.sha256
    headers = message.headers()
    if headers is None:
        return None
    if not wanted.allows_headers(headers):
        return False
    if not wanted.asks_body:
        return True
    marks = message.marks()
    return None if marks is None else wanted.allows_marks(marks)
