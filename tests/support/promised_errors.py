"""What the contracts' comments promise of errors: the lines below `Errors:` of each RPC, read from the .proto text."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc

PROTOS = Path(__file__).parents[2] / "protos" / "quell"
CODES = "|".join(code.name for code in grpc.StatusCode)
LINE = re.compile(rf"\s+(?:({CODES})\s+)?([A-Z][A-Z0-9_]+(?:, [A-Z][A-Z0-9_]+)*)[:.]")

Promise = tuple[str, str, str]
"""RPC, code, reason."""


def promised(contract: str) -> set[Promise]:
    """Return the errors that the services of a contract promise: `promised("actioncenter/v1")`."""
    found: set[Promise] = set()
    for path in (PROTOS / contract).glob("*_service.proto"):
        found.update(_of(path.read_text(encoding="utf-8")))
    return found


def _of(text: str) -> Iterator[Promise]:
    comment: list[str] = []
    for line in text.splitlines():
        if (stripped := line.strip()).startswith("//"):
            comment.append(stripped.removeprefix("//"))
        elif rpc := re.match(r"rpc (\w+)\(", stripped):
            yield from _read(rpc[1], comment)
        else:
            comment = []


def _read(rpc: str, comment: list[str]) -> Iterator[Promise]:
    starts = [number for number, line in enumerate(comment) if line.strip().startswith("Errors:")]
    code = ""
    for line in comment[starts[0] + 1 :] if starts else ():
        if match := LINE.match(line):
            code = match[1] or code
            for reason in match[2].split(", "):
                yield rpc, code, reason
