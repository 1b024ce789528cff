"""What the names in a Maildir say: folders, flags, keywords, and the server's list of UIDs.

Sources: https://cr.yp.to/proto/maildir.html, Maildir++, and Dovecot's Maildir format. Bytes that are not UTF-8 pass
through as surrogates; folder names stay as they are on disk (Dovecot writes them in modified UTF-7).
"""

from collections.abc import Collection, Mapping

INFO = ":2,"
FLAGS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
"""IMAP's flag for each letter; a letter that is not here (`P`, passed) stays, and is nobody's flag."""


def folder_of(directory: str) -> str:
    """Return a Maildir++ directory (empty for the root) as a folder name: `.Work.2026` is `Work/2026`."""
    return directory[1:].replace(".", "/") if directory else "INBOX"


def directory_of(folder: str) -> str:
    """Return the Maildir++ directory of a folder name."""
    return "" if folder.upper() == "INBOX" else "." + folder.replace("/", ".")


def base_of(name: str) -> str:
    """Return what of a file name stays when its flags change."""
    return name.partition(INFO)[0]


def keyword_letters(name: str) -> str:
    """Return the letters that stand for keywords in a file name."""
    return "".join(sign for sign in name.partition(INFO)[2] if sign.islower() and sign.isascii())


def keywords_of(name: str, letters: Mapping[str, str]) -> dict[str, str]:
    """Return letter -> keyword for those that a file name carries and its folder explains."""
    return {letter: letters[letter] for letter in keyword_letters(name) if letter in letters}


def flags_of(name: str) -> tuple[str, ...]:
    """Return the flags, as IMAP spells them, that a file name carries."""
    return tuple(FLAGS[sign] for sign in name.partition(INFO)[2] if sign in FLAGS)


def info_of(flags: Collection[str], keywords: Collection[str], letters: Mapping[str, str], old: str) -> str | None:
    """Return the letters for a file name, with those of an old one that are no flags; None if a keyword lacks one."""
    known = {keyword: letter for letter, keyword in letters.items()}
    if not set(keywords) <= known.keys():
        return None
    others = {sign for sign in old.partition(INFO)[2] if sign.isupper() and sign not in FLAGS}
    return "".join(sorted(others | {sign for sign in FLAGS if FLAGS[sign] in flags} | {known[one] for one in keywords}))


def renamed(name: str, keywords: Mapping[str, str], letters: Mapping[str, str]) -> str | None:
    """Return the file name with its keywords in the letters that the folder has for them now; None if it lacks one."""
    now = {keyword: letter for letter, keyword in letters.items()}
    if not set(keywords.values()) <= now.keys():
        return None
    base, info, flags = name.partition(INFO)
    return base + info + "".join(sorted(now[keywords[sign]] if sign in keywords else sign for sign in flags))


def read_keywords(text: str) -> dict[str, str]:
    """Read `dovecot-keywords`: lines of a number and a name; number 0 is the letter a."""
    found = {}
    for line in text.splitlines():
        number, _, keyword = line.partition(" ")
        if number.isdecimal() and int(number) < 26 and keyword:  # noqa: PLR2004 - letters
            found[chr(ord("a") + int(number))] = keyword
    return found


def read_uids(text: str) -> tuple[int, dict[int, str]]:
    """Read `dovecot-uidlist`, version 3: UIDVALIDITY, and the base of the file name for each UID."""
    head, *lines = text.splitlines() or [""]
    validity = next((field[1:] for field in head.split() if field.startswith("V") and field[1:].isdecimal()), "0")
    uids = {}
    for line in lines:
        uid, _, rest = line.partition(" ")
        if uid.isdecimal() and ":" in rest:
            uids[int(uid)] = base_of(rest.partition(":")[2])
    return int(validity), uids
