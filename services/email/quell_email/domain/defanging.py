"""Text of hostile mail for people: nothing in it can be clicked, nothing steers the terminal or the reader's eye."""

import re

_SCHEME = re.compile(r"(?:h(tt)p(s?)|(ft)p(s?))(?=\s*:)", re.IGNORECASE)
_DOT = re.compile(r"(?<=[^\W_])[.\u3002\uff0e\uff61](?=[^\W_])")
"""Between letters and digits, in every form that browsers take for a dot: a host has them, and so may `a.exe`."""
_SCRIPT = re.compile(r"\b(javascript|vbscript|data)(?=\s*:)", re.IGNORECASE)


def plain(text: str) -> str:
    """Return a text without control characters and signs that turn its direction or can't be seen; lines stay."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)


def defanged(text: str) -> str:
    """Return a text in which no address leads anywhere: `http://a.example` is `hxxp://a[.]example`."""
    found = _SCHEME.sub(lambda said: f"hxxp{said[2]}" if said[1] else f"fxp{said[4]}", plain(text))
    return _DOT.sub("[.]", _SCRIPT.sub(r"\1[:]", found).replace("[:]:", "[:]"))
