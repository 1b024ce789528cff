"""What the child makes of a message: its headers, and marks of what is in its body."""

import hashlib
import html
import re
from email.utils import getaddresses
from ipaddress import ip_address, ip_network
from typing import Any

from quell_email.domain import mime
from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.facts import attachment_mark, url_mark
from quell_email.domain.fingerprint import fingerprint, marks_of
from quell_email.domain.headers import MAX_VALUE, decoded, parameters, parse_all, parse_headers, to_text
from quell_email.domain.redirects import targets
from quell_email.domain.urls import CanonicalUrl
from quell_email.domain.wrappers import unwrapped

MAX_URLS = 2000
_ADDRESS = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{3,45})\]", re.IGNORECASE)
_LINK = re.compile(r"""(?:https?|ftp):[\\/]+[^\s<>"'\x00-\x1f]+""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(?:href|src|action)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.IGNORECASE)
_OWN_NETS = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 ::1/128 fc00::/7 fe80::/10"
_INSIDE = tuple(map(ip_network, _OWN_NETS.split()))


def read_headers(block: bytes) -> dict[str, Any]:
    """Return the fields of `Headers`.

    Raises:
        UnparsableError: It is beyond the limits.

    """
    if len(block) > mime.MAX_HEADER_BYTES:
        raise mime.UnparsableError("headers that large")
    headers = parse_headers(block)
    sender = headers.get("from", b"")[:MAX_VALUE].decode("utf-8", "replace")
    return {
        "message_id": decoded(headers.get("message-id", b"")).strip("<> ")[:998],
        "subject": decoded(headers.get("subject", b""))[:998],
        "senders": [address for _, address in getaddresses([sender]) if "@" in address][:20],
        "sender_ip": _sender_ip(block),
        "content_type": headers.get("content-type", b"text/plain").partition(b";")[0].strip().lower().decode("latin-1"),
    }


def read_body(raw: bytes) -> list[bytes]:
    """Return the marks of every decoded part, of every URL in the text, and of the text's fingerprint.

    Raises:
        UnparsableError: It is beyond the limits.

    """
    marks: set[bytes] = set()
    urls: set[str] = set()
    texts: dict[bool, list[str]] = {True: [], False: []}
    for part in mime.parts(raw):
        content = part.content
        marks.add(attachment_mark(hashlib.sha256(content).hexdigest()))
        if part.content_type.startswith("text/"):
            text = to_text(content, _charset(part))
            texts[part.content_type == "text/html"].append(text)
            urls |= _urls(text)
            if len(urls) > MAX_URLS:
                raise mime.UnparsableError("too many URLs")
    # Where there is HTML, that is what its reader sees: the plain text beside it may say anything.
    marks |= marks_of(fingerprint("\n".join(texts[True] or texts[False]), is_html=bool(texts[True])))
    for url in urls:
        try:
            marks.update(url_mark(str(target)) for target in _leads_to(url))
        except UrlInvalidError:
            continue
    return sorted(marks)


def _leads_to(url: str) -> list[CanonicalUrl]:
    try:
        return targets(url)
    except UrlInvalidError:
        # It leads to too much to be followed, or is none at all.
        return unwrapped(url)


def _charset(part: mime.Part) -> str:
    named = parameters(mime.content_type_of(part.headers), "charset")
    return named[0] if named else "utf-8"


def _urls(text: str) -> set[str]:
    plain = html.unescape(text)
    found = {"".join(value) for value in _ATTRIBUTE.findall(text)}
    found = {html.unescape(value) for value in found} | set(_LINK.findall(plain))
    return found | {url.rstrip(".,;:!?)]}'\"") for url in found}


def _sender_ip(block: bytes) -> str:
    """Return the address that handed it to us: the first in Received, from the top, that is not one of our own net.

    Whatever stands below the line that our own system wrote can be forged, so nothing below is believed.
    """
    for value in parse_all(block, "received"):
        for found in _ADDRESS.findall(value.partition(" by ")[0]):
            try:
                address = ip_address(found)
            except ValueError:
                continue
            if not any(address in net for net in _INSIDE if net.version == address.version):
                return str(address)
    return ""
