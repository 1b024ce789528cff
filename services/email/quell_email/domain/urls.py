"""One canonical form for every spelling of a URL, so that what is blocked can't be spelt past the block.

The parser is the browsers' (WHATWG URL), since what counts is where a click leads. On top come the usual evasions: what
servers take for the same is made the same, even where RFC 3986 tells it apart. Scheme, user and fragment do not count.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from urllib.parse import parse_qsl

from ada_url import URL

from quell_email.domain.errors import UrlInvalidError

MAX_URL = 8192
SCHEMES = frozenset({"http:", "https:", "ftp:"})
_ESCAPE = re.compile(rb"%(?:25)*([0-9A-Fa-f]{2})")
# What is not itself in a canonical path or query. `*` is escaped too: in a pattern it says something else.
_NOT_PATH = re.compile(rb"[^A-Za-z0-9._~!$&'()+,;=:@/-]")
_NOT_QUERY = re.compile(rb"[^A-Za-z0-9._~!$&'()+,;=:@/?-]")
_ROUNDS = 50
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class CanonicalUrl:
    """A URL as it is compared. `port` is empty for the scheme's own; `query` is None if there is no `?`."""

    host: str
    port: str
    path: str
    query: str | None

    def __str__(self) -> str:
        """Return it as people and item keys have it: without a scheme."""
        return f"{self.host}:{self.port}{self.target}" if self.port else self.host + self.target

    @property
    def target(self) -> str:
        """Path and query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"


def parsed(text: str) -> URL:
    """Return the URL as a browser parses it.

    Raises:
        UrlInvalidError: It is no absolute URL of the web: not to be followed.

    """
    if len(text) > MAX_URL:
        raise UrlInvalidError(f"a URL has at most {MAX_URL} characters", "url")
    try:
        url = URL(text)
    except (ValueError, UnicodeError):
        raise UrlInvalidError("it is no absolute URL", "url") from None
    if url.protocol not in SCHEMES or not url.hostname.strip("."):
        raise UrlInvalidError("it is no URL of the web", "url")
    return url


def canonical(text: str) -> CanonicalUrl:
    """Return the canonical form.

    Raises:
        UrlInvalidError: It is no absolute URL of the web: not to be followed.

    """
    return canonical_of(parsed(text))


def canonical_of(url: URL) -> CanonicalUrl:
    """Return the canonical form of what `parsed` gave.

    Raises:
        UrlInvalidError: Its escapes are nested too deeply.

    """
    query = _escaped(_unescaped(url.search[1:]), _NOT_QUERY) if url.search else None
    return CanonicalUrl(_host(url.hostname), url.port, _path(url.pathname), query)


def query_of(url: URL) -> list[tuple[str, str]]:
    """Return the parameters as a server reads them; bytes that are no text are replaced."""
    return parse_qsl(url.search[1:], keep_blank_values=True, errors="replace")


def _host(name: str) -> str:
    if name.endswith("."):
        # Without its last dots it may be an address in one of its spellings.
        name = parsed(f"http://{name.rstrip('.')}/").hostname
    if name.startswith("["):
        address = IPv6Address(name[1:-1])
        inner = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped
        return str(inner) if inner else name
    return name


def _path(path: str) -> str:
    plain = re.sub(rb"[/\\]+", b"/", _unescaped(path))
    found = _escaped(plain, _NOT_PATH)
    # Unescaping may have brought up dots that a server resolves.
    return URL(f"http://h{found}").pathname if "/." in found else found


def _unescaped(text: str) -> bytes:
    """Return the text unescaped until nothing changes: escapes of escapes too."""
    raw = text.encode()
    for _ in range(_ROUNDS):
        if b"%" not in raw:
            return raw
        plain = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), raw)
        if plain == raw:
            return raw
        raw = plain
    raise UrlInvalidError("its escapes are nested too deeply", "url")


def _escaped(raw: bytes, unsafe: re.Pattern[bytes]) -> str:
    return unsafe.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
