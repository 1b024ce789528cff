"""Our tables in one network namespace: all of them put in force in one transaction, read back, and taken away.

Each time they get a new name, are filled, and the older ones deleted, in one transaction: there is no instant at which
nothing of ours is in force, nor a table that holds half of it. An empty table, which a crash may leave, does nothing.
"""

import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from quell_agent.isolation import ruleset
from quell_agent.isolation.nftables import Nftables, NftablesError, Table
from quell_agent.isolation.openings import Opening
from quell_runtime.seams import Point, nowhere

FAMILIES = ("inet", "netdev", "bridge")
PROBES: Mapping[str, Sequence[str]] = {
    "inet": ruleset.inet("probed", ()),
    "netdev": ruleset.netdev("probed", (), {1: "lo"}),
    "bridge": ruleset.bridge("probed"),
}
TRIES = 5
T = TypeVar("T")
OWNERSHIP = re.compile(r"\tflags\b")
OURS = re.compile(rf"\b{ruleset.NAME}(?:_[0-9a-f]{{8}})?\b")


@dataclass(frozen=True, slots=True)
class Made:
    """What was put in force: the script, and how the kernel tells of it. Our tables' name is the same in all."""

    script: str
    listing: str


def families(nft: Nftables) -> tuple[str, ...]:
    """Return the families that this kernel can filter in: `netdev` egress came with 5.16."""
    return tuple(family for family in FAMILIES if nft.could("\n".join([f"add table {family} probed", *PROBES[family]])))


def devices() -> dict[int, str]:
    """Return the devices of this thread's namespace but the loopback, which has the first index in each."""
    return {index: name for index, name in socket.if_nameindex() if index != 1}


def script(name: str, openings: Sequence[Opening], here: Mapping[int, str], can: Sequence[str]) -> str:
    """Return what fills tables of a name."""
    parts = {
        "inet": ruleset.inet(name, openings),
        "netdev": ruleset.netdev(name, openings, here),
        "bridge": ruleset.bridge(name),
    }
    return "\n".join(command for family in can for command in parts[family])


def close(nft: Nftables, openings: Sequence[Opening], can: Sequence[str], *, own: bool, point: Point = nowhere) -> Made:
    """Put tables in force, in place of whatever is there of ours; `own`: nobody else may change them, if possible.

    Raises:
        NftablesError: Nothing was changed.

    """

    def closed(older: Sequence[Table]) -> Made:
        name = f"{ruleset.NAME}_{secrets.token_hex(4)}"
        here, new = devices(), [Table(family, name) for family in can]
        owned = own and nft.take(new)
        point("isolation.tables")
        fresh = [] if owned else [f"add table {table.family} {table.name}" for table in new]
        nft.run("\n".join([*fresh, script(name, openings, here, can), *_deleting(older)]))
        return Made(script(ruleset.NAME, openings, here, can), read(nft))

    return _of_ours(nft, closed)


def open_(nft: Nftables) -> None:
    """Take away all that is ours."""
    _of_ours(nft, lambda ours: nft.run("\n".join(_deleting(ours))) if ours else "")


def found(nft: Nftables) -> list[Table]:
    """Return the tables that have a name of ours."""
    listed = (line.split() for line in nft.run("list tables").splitlines() if line)
    return sorted(Table(family, name) for _, family, name, *_ in listed if OURS.fullmatch(name))


def read(nft: Nftables) -> str:
    """Return what the kernel tells of our tables, whatever their name is and whoever owns them."""
    listings = _of_ours(nft, lambda ours: [nft.run(f"list table {table.family} {table.name}") for table in ours])
    return "".join(map(_plain, listings))


def _of_ours(nft: Nftables, act: Callable[[Sequence[Table]], T]) -> T:
    """Do something with our tables: again if others took one, or a device came, went or got another name meanwhile."""
    for _ in range(TRIES):
        seen = found(nft), devices()
        try:
            return act(seen[0])
        except NftablesError:
            if seen == (found(nft), devices()):
                raise
    return act(found(nft))


def _deleting(ours: Sequence[Table]) -> list[str]:
    return [f"delete table {table.family} {table.name}" for table in ours]


def rules_of(listing: str) -> frozenset[tuple[str, ...]]:
    """Return every line with where it stands: what is in one listing and not in another was added."""
    return frozenset(_rules(listing))


def _rules(listing: str) -> Iterator[tuple[str, ...]]:
    where = list[str]()
    for line in map(str.strip, listing.splitlines()):
        if line.endswith("{"):
            where.append(line)
            yield tuple(where)
        elif line == "}":
            where.pop()
        elif line:
            yield (*where, line)


def _plain(listing: str) -> str:
    lines = (line.split(" # ")[0] for line in OURS.sub(ruleset.NAME, listing).splitlines())
    kept = [_in_order(line) for line in lines if not OWNERSHIP.match(line)]
    return "\n".join([*kept, ""])


def _in_order(line: str) -> str:
    """Sort what stands in a set that has no name: the kernel tells it in no order."""
    return re.sub(r"\{ ([^{}]*, [^{}]*) \}", lambda all_: f"{{ {', '.join(sorted(all_[1].split(', ')))} }}", line)
