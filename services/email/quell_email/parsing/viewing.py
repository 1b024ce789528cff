"""What the child makes of a message for people's eyes: text alone. Nothing is fetched, and nothing can be clicked."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from quell_email.domain import mime
from quell_email.domain.defanging import defanged, plain
from quell_email.domain.headers import decoded, parameter_texts, parameters, to_text

MAX_HEADERS = 100
MAX_VALUE = 1000
MAX_ALL_HEADERS = 20_000
MAX_TEXT = 40_000
MAX_FILES = 50
MAX_NAME = 200
"""Together they keep an answer below what the parent takes, whatever JSON makes of each character."""
_UNSEEN = frozenset({"script", "style", "template"})
_BREAKS = re.compile(
    "address|article|blockquote|br|d[dlt]|div|footer|form|h[1-6r]|header|li|main|nav|[ou]l|p|pre|section|t[dhr]|title"
)
_LEADS = {"a": "href", "area": "href", "form": "action", "img": "alt", "button": "formaction", "iframe": "src"}


def read_view(raw: bytes) -> dict[str, Any]:
    """Return the fields of `MessageView`.

    Raises:
        UnparsableError: It is beyond the limits.

    """
    texts, files = [], []
    for part in mime.parts(raw):
        if part.content_type in ("text/plain", "text/html") and not _is_attached(part):
            texts.append(_text(part))
        elif part.content_type not in mime.MESSAGES:
            files.append(_file(part))
    text = "\n\n".join(texts)
    return {
        "headers": list(_headers(mime.header_block(raw))),
        "text": text[:MAX_TEXT],
        "cut": len(text) > MAX_TEXT,
        "parts": files[:MAX_FILES],
    }


def _headers(block: bytes) -> Iterator[tuple[str, str]]:
    left = MAX_ALL_HEADERS
    for line in block.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n")[:MAX_HEADERS]:
        name, colon, value = line.partition(b":")
        if colon and left > 0:
            shown = plain(name.decode("latin-1"))[:MAX_NAME].strip(), defanged(decoded(value))[:MAX_VALUE]
            left -= len(shown[0]) + len(shown[1])
            yield shown


def _is_attached(part: mime.Part) -> bool:
    return part.headers.get("content-disposition", b"").strip().lower().startswith(b"attachment")


def _text(part: mime.Part) -> str:
    named = parameters(mime.content_type_of(part.headers), "charset")
    text = to_text(part.content, named[0] if named else "utf-8").replace("\r\n", "\n")
    if part.content_type == "text/html":
        reading = _Reading()
        reading.feed(text)
        reading.close()
        text = reading.text
    return f"[part {part.number}, {part.content_type}]\n{defanged(text).strip()}"


def _file(part: mime.Part) -> dict[str, Any]:
    content = part.content
    said = (
        *parameter_texts(part.headers.get("content-disposition", b"").decode("latin-1"), "filename"),
        *parameter_texts(mime.content_type_of(part.headers), "name"),
    )
    return {
        "content_type": plain(part.content_type)[: MAX_NAME // 2],
        "file_name": plain(said[0])[:MAX_NAME] if said else "",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


class _Reading(HTMLParser):
    """Reads HTML as text: what stands there, and after each link where it leads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._unseen: list[str] = []

    @property
    def text(self) -> str:
        """What was read, without empty lines in a row."""
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what leads on, and what breaks a line."""
        if tag in _UNSEEN:
            self._unseen.append(tag)
        if _BREAKS.fullmatch(tag):
            self._pieces.append("\n")
        target = dict(attrs).get(_LEADS.get(tag, ""))
        if target:
            self._pieces.append(f" [{'picture' if tag == 'img' else 'to'} {target}] ")

    def handle_endtag(self, tag: str) -> None:
        """Break the line after it."""
        if self._unseen and tag == self._unseen[-1]:
            self._unseen.pop()
        if _BREAKS.fullmatch(tag):
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Take text that is seen."""
        if not self._unseen:
            self._pieces.append(data)
