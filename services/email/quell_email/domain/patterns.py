"""What can be blocked, in the syntax of `BlockUrl`: a URL, a host, `~host`, `*.host`, or `host/path*`.

- `evil.example`: that host and every host below it, all paths; `~evil.example` and `~evil.example~`, which other
  products tell apart from it by what they leave out, are other spellings;
- `*.evil.example`: every host below it, not itself, all paths;
- `evil.example/login`, with a scheme or without: that page on that host, whatever its query;
- `evil.example/login?id=1`: that page with that query only;
- `evil.example/a/*`: what begins so (path and query), on that host; `*.evil.example/a/*` on every host below it.

A port in a pattern means that port; without one every port is meant.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from quell_email.domain.errors import PatternInvalidError, UrlInvalidError
from quell_email.domain.urls import canonical
from quell_runtime.public_suffixes import is_public_suffix

_SHAPE = re.compile(
    r"(?:(?P<scheme>[a-z]+):/+)?(?P<below>\*\.)?(?P<host>[^/?#\\*~\s\"'`]+)(?P<target>[/?#\\][^*]*)?(?P<more>\*)?"
)
_TILDE = re.compile(r"~([^/?#\\*~\s\"'`:]+)~?")
"""The whole of a host, its hosts below and its paths, as other products write it."""
_NAME = re.compile(r"[^.]+(\.[^.]+)*\.[^.]{2,}")
_OWN_PORTS = frozenset({"80", "443"})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern in canonical form. `target` is None if all paths are meant."""

    host: str
    below: bool
    port: str
    target: str | None
    prefix: bool

    def __str__(self) -> str:
        """Return the canonical text, which is itself a pattern and means the same."""
        return f"{self.place}{self.target or ''}{'*' if self.prefix else ''}"

    @property
    def place(self) -> str:
        """Where it is looked for: host and port, `*.` before it if hosts below are meant."""
        return f"{'*.' if self.below else ''}{self.host}{':' + self.port if self.port else ''}"


@lru_cache(4096)
def pattern_of(text: str) -> Pattern:
    """Read a pattern.

    Raises:
        PatternInvalidError: It is none, or it would block a public suffix such as `com` or `co.uk`.

    """
    text = text.strip()
    whole_host = _TILDE.fullmatch(text)
    shape = _SHAPE.fullmatch(whole_host[1] if whole_host else text)
    target = shape["target"] if shape else None
    if shape is None or (shape["more"] and (target is None or "#" in target)):
        raise PatternInvalidError("a pattern is a URL, a host, ~host, *.host, or host/path*", "pattern")
    try:
        url = canonical(f"{shape['scheme'] or 'http'}://{shape['host']}{target or ''}")
    except UrlInvalidError as error:
        raise PatternInvalidError(error.message, "pattern") from None
    port = "" if url.port in _OWN_PORTS else url.port
    whole = target is None and shape["scheme"] is None
    found = Pattern(url.host, bool(shape["below"]), port, None if whole else url.target, bool(shape["more"]))
    if is_address(url.host) and (shape["below"] or whole_host):
        raise PatternInvalidError("an address has no hosts below it", "pattern")
    if not is_address(url.host) and not _NAME.fullmatch(url.host):
        raise PatternInvalidError("a host has a dot in it, and two letters or more after the last", "pattern")
    if (found.below or found.target is None) and is_public_suffix(url.host):
        raise PatternInvalidError(f"{url.host} is a public suffix: it would block everybody's hosts", "pattern")
    return found


def is_address(host: str) -> bool:
    """Tell an IP address, in canonical form, from a name. A name of the web never ends in a number."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()
