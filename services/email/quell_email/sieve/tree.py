"""The tree of a Sieve script: commands with their arguments, tests and blocks (RFC 5228, 8.2)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from quell_email.sieve.lexer import Kind, SieveSyntaxError, Token, tokens

T = TypeVar("T")
DEEPEST = 32
"""How deep tests and blocks may lie in each other; Pigeonhole's own limit."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument's name, in lower case."""

    name: str


@dataclass(frozen=True, slots=True)
class Strings:
    """A string, or a list of them."""

    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""


Argument = Tag | Strings | Number


@dataclass(frozen=True, slots=True)
class Node:
    """A command or a test. `own` are its tokens, without those of its block's commands; `block` is None for none."""

    name: str
    arguments: tuple[Argument, ...]
    tests: tuple["Node", ...]
    block: tuple["Node", ...] | None
    own: tuple[Token, ...]

    def walk(self) -> Iterator["Node"]:
        """Yield it, its tests and all commands within, in order."""
        yield self
        for within in (*self.tests, *(self.block or ())):
            yield from within.walk()


def parse(script: bytes) -> tuple[Node, ...]:
    """Return the commands of a script.

    Raises:
        SieveSyntaxError: It can't be read.

    """
    reader = _Reader(list(tokens(script)), len(script))
    found = reader.commands(0)
    if reader.here:
        raise SieveSyntaxError("no command", reader.here.start)
    return tuple(found)


def walk(commands: Sequence[Node]) -> Iterator[Node]:
    """Yield every command and test, in order."""
    for command in commands:
        yield from command.walk()


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, read: Sequence[Token], end: int) -> None:
        self._tokens = read
        self._end = end
        self._next = 0

    @property
    def here(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _at(self, mark: bytes) -> bool:
        return self.here is not None and self.here.kind is Kind.MARK and self.here.text == mark

    def _is(self, kind: Kind) -> bool:
        return self.here is not None and self.here.kind is kind

    def _take(self, what: str, kind: Kind, text: bytes | None = None) -> Token:
        token = self.here
        if token is None or token.kind is not kind or text not in (None, token.text):
            raise SieveSyntaxError(f"no {what}", token.start if token else self._end)
        self._next += 1
        return token

    def _mark(self, text: bytes) -> Token:
        return self._take(repr(text.decode()), Kind.MARK, text)

    def commands(self, depth: int) -> list[Node]:
        found = []
        while self._is(Kind.IDENTIFIER):
            found.append(self._command(depth))
        return found

    def _command(self, depth: int) -> Node:
        start = self._next
        name, arguments, tests = self._head(depth)
        head = self._tokens[start : self._next]
        if not self._at(b"{"):
            end = self._mark(b";")
            return Node(name, arguments, tests, None, (*head, end))
        opening = self._mark(b"{")
        block = self.commands(_deeper(depth, opening.start))
        closing = self._mark(b"}")
        return Node(name, arguments, tests, tuple(block), (*head, opening, closing))

    def _head(self, depth: int) -> tuple[str, tuple[Argument, ...], tuple[Node, ...]]:
        name = self._take("command", Kind.IDENTIFIER).text.decode()
        arguments = []
        while (argument := self._argument()) is not None:
            arguments.append(argument)
        return name, tuple(arguments), self._tests(depth)

    def _tests(self, depth: int) -> tuple[Node, ...]:
        if self._is(Kind.IDENTIFIER):
            return (self._test(depth),)
        return tuple(self._listed(b"(", b")", lambda: self._test(depth))) if self._at(b"(") else ()

    def _test(self, depth: int) -> Node:
        start = self._next
        deeper = _deeper(depth, self.here.start if self.here else self._end)
        name, arguments, tests = self._head(deeper)
        return Node(name, arguments, tests, None, tuple(self._tokens[start : self._next]))

    def _argument(self) -> Argument | None:
        if self._is(Kind.TAG):
            return Tag(self._take("tag", Kind.TAG).text.decode())
        if self._is(Kind.NUMBER):
            self._take("number", Kind.NUMBER)
            return Number()
        if self._is(Kind.STRING):
            return Strings((self._string(),))
        return Strings(tuple(self._listed(b"[", b"]", self._string))) if self._at(b"[") else None

    def _string(self) -> bytes:
        return self._take("string", Kind.STRING).text

    def _listed(self, opening: bytes, closing: bytes, one: Callable[[], T]) -> list[T]:
        self._mark(opening)
        found = [one()]
        while self._at(b","):
            self._mark(b",")
            found.append(one())
        self._mark(closing)
        return found


def _deeper(depth: int, offset: int) -> int:
    if depth >= DEEPEST:
        raise SieveSyntaxError("nested too deep", offset)
    return depth + 1
