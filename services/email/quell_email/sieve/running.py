"""What a Sieve script may do when mail comes: each forward in it with every address that it may send to.

The script is gone through as if each branch were taken and each loop run any number of times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from quell_email.sieve.language import FORWARDS, UnclearError, extensions, split
from quell_email.sieve.tree import Argument, Node, Strings
from quell_email.sieve.values import UNKNOWN, Values, Variables, decoded, expanded, joined, plain_name

MOST_STEPS = 200_000
"""Commands that are gone through, each counted once more for each variable there is."""
MOST_VARIABLES = 128
"""Pigeonhole's own limit."""
SAME = frozenset({"lower", "upper", "lowerfirst", "upperfirst"})
"""Modifiers after which an address is still the same one."""


@dataclass(slots=True)
class Found:
    """A forward: its command, and what its target may be. `uri`: the target is a URI that mail may go to."""

    node: Node
    targets: Values
    uri: bool = False


def forwards(commands: Sequence[Node]) -> list[Found]:
    """Return every forward of a script, in order.

    Raises:
        UnclearError: It can't be told what the script does.

    """
    run = _Run(extensions(commands))
    run.go(commands, {})
    return list(run.found.values())


def copies(node: Node) -> bool:
    """Tell whether a forward leaves it to others whether the message is kept."""
    return node.name != "redirect" or "copy" in split(node)[0]


@dataclass(slots=True)
class _Run:
    """One way through a script, and all others."""

    used: frozenset[str]
    found: dict[int, Found] = field(default_factory=dict)
    steps: int = 0
    broken: list[Variables] = field(default_factory=list)

    def go(self, commands: Sequence[Node], variables: Variables) -> Variables:
        """Run commands; return what variables may be then."""
        base, ends = variables, [variables]
        for node in commands:
            self._count(variables)
            if node.name in ("if", "elsif", "else"):
                if node.name == "if":
                    base, ends = variables, []
                ends.append(self.go(node.block or (), dict(base)))
                variables = joined(ends if node.name == "else" else [*ends, base])
            elif node.name == "foreverypart":
                variables = self._loop(node, variables)
            else:
                variables = self._command(node, variables)
        return variables

    def _count(self, variables: Variables) -> None:
        self.steps += 1 + len(variables)
        if self.steps > MOST_STEPS or len(variables) > MOST_VARIABLES:
            raise UnclearError("it is too intricate")

    def _loop(self, node: Node, variables: Variables) -> Variables:
        while True:
            after = joined([variables, self.go(node.block or (), dict(variables)), *self.broken])
            if after == variables:
                return after
            variables = after

    def _command(self, node: Node, variables: Variables) -> Variables:
        if node.name in FORWARDS:
            self._forward(node, variables)
        elif node.name == "break":
            self.broken.append(variables)
        elif node.name == "set":
            tags, others = split(node)
            name, value = map(self._only, self._exactly(node, others, 2))
            targets = self._may_be(value, variables) if tags.keys() <= SAME else UNKNOWN
            return {**variables, self._variable(name): targets}
        elif node.name == "extracttext":
            (name,) = map(self._only, self._exactly(node, split(node)[1], 1))
            return {**variables, self._variable(name): UNKNOWN}
        elif node.name in ("setflag", "addflag", "removeflag") and len(node.arguments) > 1:
            return {**variables, self._variable(self._only(node.arguments[0])): UNKNOWN}
        elif node.name in ("global", "import", "export"):
            names = [name for part in node.arguments if isinstance(part, Strings) for name in part.values]
            return {**variables, **{self._variable(name): UNKNOWN for name in names}}
        return variables

    def _forward(self, node: Node, variables: Variables) -> None:
        targets, uri = frozenset[bytes](), False
        for text, as_uri in _targets(node):
            targets |= self._may_be(text, variables)
            uri = as_uri
        before = self.found.setdefault(node.own[0].start, Found(node, frozenset(), uri))
        before.targets |= targets

    def _may_be(self, text: bytes, variables: Variables) -> Values:
        constant = decoded(text) if "encoded-character" in self.used else text
        return expanded(constant, variables) if "variables" in self.used else frozenset({constant})

    def _variable(self, text: bytes) -> str:
        name = plain_name(text)
        if name is None:
            raise UnclearError("a variable has a name that can't be told")
        return name

    @staticmethod
    def _exactly(node: Node, arguments: Sequence[Argument], number: int) -> Sequence[Argument]:
        if len(arguments) != number:
            raise UnclearError(f"{node.name} has not the arguments that it should have")
        return arguments

    @staticmethod
    def _only(argument: Argument) -> bytes:
        if not isinstance(argument, Strings) or len(argument.values) != 1:
            raise UnclearError("a list or a number stands where one string should")
        return argument.values[0]


def _targets(node: Node) -> Iterator[tuple[bytes, bool]]:
    """Yield the strings that say where a forward goes, and whether each is a URI."""
    tags, others = split(node)
    positional = {"redirect": 1, "report": 3}.get(node.name, 1 if others else 0)
    strings = [part.values[0] for part in others if isinstance(part, Strings) and len(part.values) == 1]
    if len(others) != positional or len(strings) != positional:
        raise UnclearError(f"{node.name} has not the arguments that it should have")
    if strings:
        yield strings[-1], node.name == "notify"
    elif node.name == "notify":
        # The old extension `notify`: it names whom to tell among its options.
        for part in tags.get("options", ()):
            yield from ((value, False) for value in part.values) if isinstance(part, Strings) else ()
