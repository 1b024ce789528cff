"""Links through the click endpoint. Each is signed: an endpoint that redirects anywhere would serve every phisher."""

import base64
import hashlib
import hmac
from binascii import Error
from dataclasses import dataclass

PATH = "/c/1/"
WHO_BYTES = 12
_SIGNED = b"quell-click-1\0"
_SIGNED_FOR = b"quell-click-for-1\0"
_WHO = b"quell-click-who-1\0"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link of ours says: where it leads, and `pseudonym` of whom it was made for; empty if that was not told."""

    url: str
    who: bytes


def link(base: str, key: bytes, url: str, who: bytes = b"") -> str:
    """Return the link that checks `url` at the click; `base` is where the endpoint is reached, without a path."""
    text = url.encode()
    told = f".{_encoded(who)}" if who else ""
    return f"{base}{PATH}{_encoded(text)}{told}.{_encoded(_seal(key, text, who))}"


def opened(key: bytes, token: str) -> Opened | None:
    """Return what a link's last part says, or None unless we signed it."""
    first, dot, rest = token.partition(".")
    middle, _, last = rest.rpartition(".")
    try:
        text, who, seal = _decoded(first), _decoded(middle), _decoded(last)
        if not dot or len(who) not in (0, WHO_BYTES) or not hmac.compare_digest(seal, _seal(key, text, who)):
            return None
        return Opened(text.decode(), who)
    except (Error, ValueError):
        return None


def told(token: str) -> str:
    """Return where a link's last part says that it leads, whoever made it; empty if it says nothing."""
    try:
        return _decoded(token.partition(".")[0]).decode()
    except (Error, ValueError):
        return ""


def pseudonym(key: bytes, address: str) -> bytes:
    """Return what stands for a recipient in links and in the click log: only who has the key can tell whose it is."""
    return hmac.digest(key, _WHO + address.lower().encode(), hashlib.sha256)[:WHO_BYTES]


def _seal(key: bytes, text: bytes, who: bytes) -> bytes:
    return hmac.digest(key, _SIGNED_FOR + who + text if who else _SIGNED + text, hashlib.sha256)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
