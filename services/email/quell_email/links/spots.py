"""A link in a text, and what makes a run of characters one."""

import re
from dataclasses import dataclass

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import MAX_URL, parsed

# Marks of typesetting end an address wherever people write without spaces; in a host they would spell another name.
_END = '\\s<>"\u00ab\u00bb\u2018-\u201f\u3000-\u303f\uff00-\uffef'
_BEGIN = r"(?:(?:https?|ftp):[\\/]{2,}|(?<![A-Za-z0-9./@-])www\.)"
WRITTEN = re.compile(f"{_BEGIN}[^{_END}]+", re.IGNORECASE)
"""An address in running text, as mail programs make it a link."""
WRAPPED = re.compile(rf"{_BEGIN}(?:[^{_END}]| \r?\n(?![\s>]))+", re.IGNORECASE)
"""One in text that was flowed with `DelSp=yes` (RFC 3676, 4.2): a space at the end of a line is none of its own."""
_AFTER = ".,;:!?'*_"
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A link in a text, from `start` to `end`; a new one is written there between `before` and `after`."""

    start: int
    end: int
    url: str
    before: str = ""
    after: str = ""


def trimmed(found: str) -> str:
    """Take off what follows an address in a sentence; a bracket that it opens itself stays."""
    while found:
        last = found[-1]
        opens = _PAIRS.get(last)
        if last not in _AFTER and (opens is None or found.count(opens) >= found.count(last)):
            break
        found = found[:-1]
    return found


def web_url(text: str) -> str:
    """Return what a written address leads to, or an empty text if it is none of the web.

    One that is too long to be checked is cut: the link still goes by its host, and leads past no block.
    """
    url = (f"http://{text}" if text[:4].lower() == "www." else text)[:MAX_URL]
    try:
        parsed(url)
    except UrlInvalidError:
        return ""
    return url
