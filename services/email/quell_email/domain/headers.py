"""Reading header fields from their bytes: what they are called, what they say, and where each one lies."""

import re
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value

MAX_VALUE = 8192
"""Of a header that is decoded: more is cut off, or for a structure refused, since decoding takes quadratic time."""
_FOLD = re.compile(rb"\r?\n[ \t]")
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]+):[^\r\n\0]*(?:\r?\n[ \t][^\r\n\0]*)*(?:\r?\n|\Z)")
"""RFC 5322, 2.2, strictly: whatever is not like this is read in one way here and in another there."""
_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)')


class UnreadableError(Exception):
    """Nobody can tell what it says. Never taken for clean."""


def parse_headers(block: bytes) -> dict[str, bytes]:
    """Return the first header of each name, in lower case, unfolded."""
    found: dict[str, bytes] = {}
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower().decode("latin-1"), value.strip())
    return found


def parse_all(block: bytes, name: str) -> list[str]:
    """Return the values of every header of that name, from the top, unfolded."""
    lines = (line.partition(b":") for line in _FOLD.sub(b" ", block).split(b"\n"))
    wanted = name.encode()
    return [value.strip()[:MAX_VALUE].decode("latin-1") for key, _, value in lines if key.strip().lower() == wanted]


def fields(block: bytes) -> Sequence[tuple[str, bytes]] | None:
    """Return each field's name in lower case and its bytes, line ends included: joined they are the block.

    None: there is a line that is no field, so readers differ about where the headers end and what they say.
    """
    found = []
    at = 0
    while at < len(block):
        field = _FIELD.match(block, at)
        if field is None:
            return None
        found.append((field[1].decode("ascii").lower(), field[0]))
        at = field.end()
    return found


def decoded(value: bytes) -> str:
    """Return a header's text: encoded words decoded, what no charset explains replaced, no control characters."""
    text = value[:MAX_VALUE].decode("utf-8", "replace")
    try:
        pieces = decode_header(text)
    except (HeaderParseError, ValueError, LookupError):
        pieces = [(text, None)]
    joined = "".join(
        piece if isinstance(piece, str) else to_text(piece, charset or "utf-8") for piece, charset in pieces
    )
    return "".join(sign if sign.isprintable() else " " for sign in joined).strip()


def to_text(raw: bytes, charset: str) -> str:
    """Return text in a charset that the message names; an unknown or a wrong one does not lose it."""
    try:
        return raw.decode(charset, "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def parameters(value: str, name: str) -> list[str]:
    """Return every value of a parameter of a structured header, in every way that readers take it, each once.

    Continuations and charsets (RFC 2231) are decoded. A comment counts for some and is skipped by others.

    Raises:
        UnreadableError: Its parameters make no sense.

    """
    found = [said if isinstance(said, str) else collapse_rfc2231_value(said) for said in _parameters(value, name)]
    return list(dict.fromkeys(found))


def parameter_texts(value: str, name: str) -> list[str]:
    """Return them as text for people: of those that are not so decoded, encoded words and 8-bit bytes are.

    Raises:
        UnreadableError: Its parameters make no sense.

    """
    found = [
        decoded(said.encode("latin-1", "replace")) if isinstance(said, str) else collapse_rfc2231_value(said)
        for said in _parameters(value, name)
    ]
    return list(dict.fromkeys(found))


def uncommented(value: str) -> str:
    """Return a structured header without its comments (RFC 5322, 3.2.2), nested to some depth."""
    for _ in range(3):
        value = _QUOTED_OR_COMMENT.sub(lambda found: found[0] if found[0].startswith('"') else " ", value)
    return value


def _parameters(value: str, name: str) -> list[str | tuple[str | None, str | None, str]]:
    found: list[str | tuple[str | None, str | None, str]] = []
    for reading in (value, uncommented(value)):
        message = Message()
        message["Content-Type"] = reading.replace("\r", "").replace("\n", "")
        try:
            said = message.get_params([])
        except (TypeError, ValueError, LookupError) as error:
            raise UnreadableError(f"no {name} can be told") from error
        found += [each for key, each in said if key.lower() == name]
    return found
