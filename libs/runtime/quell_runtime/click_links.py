"""Links through the click endpoint. Each is signed: an endpoint that redirects anywhere would serve every phisher."""

import base64
import hashlib
import hmac
from binascii import Error

PATH = "/c/1/"
_SIGNED = b"quell-click-1\0"


def link(base: str, key: bytes, url: str) -> str:
    """Return the link that checks `url` at the click; `base` is where the endpoint is reached, without a path."""
    text = url.encode()
    return f"{base}{PATH}{_encoded(text)}.{_encoded(_seal(key, text))}"


def opened(key: bytes, token: str) -> str | None:
    """Return the URL of a link's last part, or None unless we signed it."""
    first, dot, last = token.partition(".")
    try:
        text, seal = _decoded(first), _decoded(last)
    except (Error, ValueError):
        return None
    if not dot or not hmac.compare_digest(seal, _seal(key, text)):
        return None
    return text.decode()


def _seal(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + text, hashlib.sha256)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
