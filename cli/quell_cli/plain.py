"""Texts from elsewhere made safe to print: a mail's subject may hold what moves a terminal's cursor."""


def plain(text: str) -> str:
    """Return the text on one line, with whatever is no visible character written out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
