"""Everything that a click on a URL may lead to: what safe links wrap, and what a redirector is told by a parameter.

Nobody's redirector can be known from outside, so a parameter that is named as theirs are, and holds a URL of the web,
counts on any host. A page that merely mentions a blocked URL so is refused, too: better than the redirect let through.
"""

import base64
import re
from urllib.parse import unquote

from ada_url import URL

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import CanonicalUrl, canonical_of, parsed, query_of
from quell_email.domain.wrappers import inner

MAX_TARGETS = 32
"""More than any honest URL leads to. One that leads to more is not looked through, and not to be followed."""
_NAMES = frozenset(
    [
        *("u", "url", "uri", "link", "href", "to", "goto", "go", "out", "q", "r", "rd", "redir", "redirect"),
        *(
            "redirect_to",
            "redirect_uri",
            "redirect_url",
            "redirecturl",
            "return",
            "return_to",
            "return_url",
            "returnto",
        ),
        *("returnurl", "next", "continue", "target", "dest", "destination", "forward", "location", "callback"),
    ]
)
_ABSOLUTE = re.compile(r"(?:(?:https?|ftp):|[\\/]{2})", re.IGNORECASE)
_ESCAPED = re.compile(r"(?:(?:https?|ftp)?[:\\/]*)%", re.IGNORECASE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4}){3,}(?:[A-Za-z0-9+/_-]{2,3})?=*\Z")
_URLSAFE = str.maketrans("-_", "+/", "=")
_ROUNDS = 8
_SHORTEST = len("?u=//a.bc")


def targets(text: str) -> list[CanonicalUrl]:
    """Return the URL and all that it may lead to, itself first, each once.

    Raises:
        UrlInvalidError: It is no absolute URL of the web, or leads to more than anybody honest has one lead to.

    """
    url = parsed(text)
    known = {canonical_of(url): None}
    waiting = [url]
    while waiting:
        for each in _next(waiting.pop()):
            try:
                url = parsed(each)
                found = canonical_of(url)
            except UrlInvalidError:
                continue
            if found not in known:
                known[found] = None
                waiting.append(url)
            if len(known) > MAX_TARGETS:
                raise UrlInvalidError("it leads on and on: not to be followed", "url")
    return list(known)


def _next(url: URL) -> list[str]:
    """Return what one URL leads to."""
    wrapped = inner(url, url.hostname.rstrip("."))
    found = [wrapped] if wrapped else []
    if len(url.search) < _SHORTEST:
        return found
    for name, value in query_of(url):
        if name.lower() in _NAMES and (target := _target(value.strip(), url.protocol)):
            found.append(target)
    return found


def _target(value: str, scheme: str) -> str:
    """Return the absolute URL that a parameter's value is, however often escaped, or in base64; else an empty text."""
    if _BASE64.match(value):
        value = base64.b64decode(value.translate(_URLSAFE) + "==").decode("utf-8", "replace")
    for _ in range(_ROUNDS):
        if not _ESCAPED.match(value):
            break
        value = unquote(value)
    if not _ABSOLUTE.match(value):
        return ""
    # `//host` has the scheme of the page.
    return value if value[0] not in "/\\" else scheme + value
