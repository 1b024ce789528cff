"""Taking out of a Sieve script what sends mail outside, and nothing else."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from quell_email.domain.belonging import Whose, recipients, shown, whose
from quell_email.domain.forwards import TURNED_OFF, Judged
from quell_email.sieve.language import ACTIONS, KNOWN, LOSES, UnclearError, check_known
from quell_email.sieve.lexer import SieveSyntaxError, Token
from quell_email.sieve.running import Found, copies, forwards
from quell_email.sieve.tree import Node, Strings, Tag, parse, walk

MOST_RULES = 50
LONGEST_RULE = 100
LONGEST_LINE = 1000

_FORWARDING_WORD = re.compile(rb"redirect|notify|report|include|pipe|filter|execute", re.IGNORECASE)
_RULE_NAME = re.compile(rb"#[# \t]{0,9}rule:\[([^\]]*)\]|#.*?Rulename:[ \t]*([^|]*)")


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A forward with its addresses, by whose they are."""

    node: Node
    by: dict[Whose, list[str]]

    @property
    def leaves(self) -> bool:
        return Whose.OUTSIDE in self.by or Whose.UNCLEAR in self.by


def judge(script: bytes, domains: Collection[str], *, instead: bytes) -> Judged:
    """Return what a script is like. `instead` takes the place of a redirect that does not keep: see `stand_in`."""
    try:
        commands = parse(script)
    except SieveSyntaxError:
        if not _FORWARDING_WORD.search(script):
            return Judged(script)
        return _whole("it can't be read", [], rules=_names(script))
    named = _names(script) or tuple(_said(script, walk(commands)))
    try:
        check_known(commands)
        found = [_sorted(forward, domains) for forward in forwards(commands)]
    except UnclearError as error:
        return _whole(str(error), [], rules=named)
    leaving = [forward for forward in found if forward.leaves]
    if any(forward.by.keys() - {Whose.OUTSIDE, Whose.NOBODYS} for forward in leaving):
        return _whole("an address can't be told before mail comes", found, rules=named)
    gone = {forward.node.own[0].start for forward in leaving}
    others = (node for node in walk(commands) if node.own[0].start not in gone)
    cuts = [(forward.node.own, b"" if copies(forward.node) else instead) for forward in leaving]
    return Judged(
        _without(script, cuts),
        _addresses(found, Whose.OUTSIDE),
        _addresses(found, Whose.OURS),
        rules=tuple(_said(script, others)),
    )


def stand_in(scripts: Collection[bytes]) -> bytes:
    """Return what keeps mail that only a forward kept, for each of the scripts of one mailbox.

    Without the forward mail is kept by itself, unless a rule throws it away or sends it back, here, in a script that
    includes this one, or in one that we can't see. Only then it has to be said, since a rule that files mail would
    otherwise leave a second copy.
    """
    return b"keep;" if any(map(_may_lose, scripts)) else b""


def included(script: bytes) -> frozenset[str]:
    """Return the names of the user's own scripts that a script includes."""
    try:
        nodes = [node for node in walk(parse(script)) if node.name == "include" and Tag("global") not in node.arguments]
    except SieveSyntaxError:
        return frozenset()
    strings = (part.values for node in nodes for part in node.arguments if isinstance(part, Strings))
    return frozenset(value.decode("utf-8", "replace") for values in strings for value in values)


def _may_lose(script: bytes) -> bool:
    try:
        nodes = list(walk(parse(script)))
    except SieveSyntaxError:
        return True
    return any(node.name in LOSES or (node.name == "include" and Tag("global") in node.arguments) for node in nodes)


def _sorted(found: Found, domains: Collection[str]) -> _Sorted:
    by: dict[Whose, list[str]] = {}
    for target in sorted(found.targets):
        for address in sorted(recipients(target)) if found.uri else [target]:
            belongs = whose(address, domains)
            by.setdefault(belongs, []).append("" if belongs is Whose.UNCLEAR else shown(address))
    return _Sorted(found.node, by)


def _addresses(found: Sequence[_Sorted], belongs: Whose) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for forward in found for address in forward.by.get(belongs, ())))


def _whole(why: str, found: Sequence[_Sorted], rules: tuple[str, ...]) -> Judged:
    outside = tuple(dict.fromkeys(("", *_addresses(found, Whose.OUTSIDE))))
    return Judged(TURNED_OFF, outside, _addresses(found, Whose.OURS), why, rules)


def _without(script: bytes, cuts: Sequence[tuple[Sequence[Token], bytes]]) -> bytes:
    """Return the script without the tokens of some commands; comments and white space between them stay."""
    pieces, place = [], 0
    for own, instead in sorted(cuts, key=lambda cut: cut[0][0].start):
        for token, added in zip(own, (instead, *[b""] * len(own)), strict=False):
            pieces += [script[place : token.start], added]
            place = token.end
    return b"".join([*pieces, script[place:]])


def _names(script: bytes) -> tuple[str, ...]:
    found = (_RULE_NAME.match(line[:LONGEST_LINE]) for line in script.splitlines() if line.startswith(b"#"))
    names = ((match[1] or match[2] or b"").decode("utf-8", "replace").strip() for match in found if match)
    return tuple(name[:LONGEST_RULE] for name in islice(names, MOST_RULES))


def _said(script: bytes, nodes: Iterator[Node]) -> Iterator[str]:
    """Yield what commands do, as the script says it."""
    left = MOST_RULES
    for node in nodes:
        if (node.name in ACTIONS or node.name not in KNOWN) and node.name != "set" and left:
            left -= 1
            text = script[node.own[0].start : node.own[-1].start].decode("utf-8", "replace")
            yield " ".join(text.split())[:LONGEST_RULE]
