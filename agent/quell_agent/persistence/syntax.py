"""How a text is made to start nothing: by what it is written in, the smallest change that leaves it valid.

A line that stands for itself is taken out. Where a missing line would change what the others mean (a shell's `if`, the
jumps of PAM, an alias of sudo) the name or the line is replaced by one that does nothing.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quell_agent.persistence.naming import Named, Span

Replace = Callable[[bytes, list[Span]], bytes]
"""Takes a line and where in it files are named; returns what is to stand there."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a text: at a byte, what stands there and what is to."""

    offset: int
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a file is written in. `continued`: a backslash at its end joins a line to the next."""

    replace: Replace
    comments: tuple[bytes, ...] = (b"#",)
    continued: bool = False

    def edits(self, content: bytes, named: Named, home: str = "") -> tuple[Edit, ...]:
        """Return the changes after which none of the files is named, comments aside."""
        if not named.may_be_in(content):
            return ()
        found = []
        for offset, line in _lines(content, continued=self.continued):
            if line.lstrip().startswith(self.comments):
                continue
            spans = named.spans(line, home)
            if spans and (new := self.replace(line, spans)) != line:
                found.append(Edit(offset, line, new))
        return tuple(found)


def applied(content: bytes, edits: tuple[Edit, ...]) -> bytes:
    """Return the text with the changes made."""
    parts, end = [], 0
    for edit in edits:
        parts += [content[end : edit.offset], edit.new]
        end = edit.offset + len(edit.old)
    return b"".join([*parts, content[end:]])


def _lines(content: bytes, *, continued: bool) -> Iterator[tuple[int, bytes]]:
    offset, line = 0, b""
    for each in content.splitlines(keepends=True):
        line += each
        if continued and each.rstrip(b"\r\n").endswith(b"\\"):
            continue
        yield offset, line
        offset, line = offset + len(line), b""
    if line:
        yield offset, line


def _gone(_line: bytes, _spans: list[Span]) -> bytes:
    return b""


def _without(line: bytes, spans: list[Span]) -> bytes:
    return _substituted(line, spans, lambda _before: b"")


def _harmless(line: bytes, spans: list[Span]) -> bytes:
    return _substituted(line, spans, _stand_in)


def _substituted(line: bytes, spans: list[Span], new: Callable[[bytes], bytes]) -> bytes:
    parts, end = [], 0
    for start, stop in spans:
        parts += [line[end:start], new(line[:start])]
        end = stop
    return b"".join([*parts, line[end:]])


PRELOADS = re.compile(rb"\b(?:LD_\w+|BASH_ENV|ENV|PYTHONSTARTUP|PERL5OPT|PROMPT_COMMAND)=[\"']?[^\s;]*$")
READ_OR_BECOME = re.compile(
    rb"(?:^|[\s;&|(])(?:exec|\.|source|(?:\S*/)?(?:(?:ba|da|z|k|a)?sh|python[\d.]*|perl|ruby|php))\s+(?:-\w+\s+)*[\"']?$"
)


def _stand_in(before: bytes) -> bytes:
    """Return what does nothing in the place of a program, by what stands before it.

    A variable that preloads is emptied; what a shell reads or becomes is nothing to read; anything else succeeds.
    """
    if PRELOADS.search(before):
        return b""
    return b"/dev/null" if READ_OR_BECOME.search(before) else b"/bin/true"


PAM_RULE = re.compile(rb"\s*(?P<service>[^\s-]\S*\s+)?-?(?P<type>auth|account|password|session)\s")


def _ignored_by_pam(line: bytes, _spans: list[Span]) -> bytes:
    """Keep a rule in its place, since others jump over it by number, but one whose answer does not count."""
    rule = PAM_RULE.match(line)
    if rule is None:
        return b""
    return (rule["service"] or b"") + rule["type"] + b"\toptional\tpam_deny.so\n"


def _hidden(line: bytes, _spans: list[Span]) -> bytes:
    """Hide an entry of the desktop whose program it names; a picture of that name starts nothing."""
    return b"Hidden=true\n" if line.partition(b"=")[0].strip() in {b"Exec", b"TryExec"} else line


LINE = Syntax(_gone)
RULE = Syntax(_gone, continued=True)
UNIT = Syntax(_gone, comments=(b"#", b";"), continued=True)
WORDS = Syntax(_without)
SHELL = Syntax(_harmless)
SUDO = Syntax(_harmless, continued=True)
APT = Syntax(_harmless, comments=(b"#", b"//"))
PAM = Syntax(_ignored_by_pam, continued=True)
DESKTOP = Syntax(_hidden)
BY_NAME = {
    "line": LINE,
    "rule": RULE,
    "unit": UNIT,
    "words": WORDS,
    "shell": SHELL,
    "sudo": SUDO,
    "apt": APT,
    "pam": PAM,
    "desktop": DESKTOP,
}
"""As plans write them down."""


def name_of(syntax: Syntax) -> str:
    """Return what a plan calls it."""
    return next(name for name, each in BY_NAME.items() if each is syntax)
