"""The journal's records and tables; the migrations say the same in SQL."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from quell.journal.v1 import plan_pb2
from quell.warrant.v1 import seal_pb2

from quell_runtime.seams import moment
from quell_runtime.store import table

NEVER = moment(0)


@dataclass(frozen=True)
class Known:
    """What the executor was told last, and the latest times that it has seen. There is one, of id 1."""

    id: int = 1
    key_set: seal_pb2.Sealed | None = None
    freeze: seal_pb2.Sealed | None = None
    center_start: int = 0
    sealed_time: datetime = NEVER
    time: datetime = NEVER


class Stage(StrEnum):
    """How far a warrant is."""

    ACCEPTED = auto()
    BEGUN = auto()
    ENDED = auto()


@dataclass(frozen=True)
class Order:
    """A warrant that was accepted.

    `digests` are those of every body that came for the action, the one that counts first; `owned` is how many items it
    answers for, `over_time` when it ceased to answer for any; `answers` are the ids of its item chunks and receipts.
    """

    action: str
    sequence: int
    kind: str
    sealed: seal_pb2.Sealed
    digests: tuple[str, ...]
    stage: Stage = Stage.ACCEPTED
    canceled: bool = False
    snapshot: str = ""
    owned: int = 0
    answers: tuple[str, ...] = ()
    over_time: datetime = NEVER


@dataclass(frozen=True)
class CalledOff:
    """An action that a newer one has taken back: it is never begun."""

    action: str
    taken_by: str


@dataclass(frozen=True)
class Begun:
    """A plan whose changes may have been made."""

    id: str
    plan: plan_pb2.Plan
    begin_time: datetime


@dataclass(frozen=True)
class Fence:
    """The highest sequence begun on an item key or a name, and whose it was."""

    key: str
    sequence: int
    action: str


@dataclass(frozen=True)
class Owner:
    """Who answers for an item. An `inherited` one is known by the effect's own mark alone."""

    key: str
    kind: str
    owner: str
    ownership: plan_pb2.Ownership
    inherited: bool = False


@dataclass(frozen=True)
class Revert:
    """When an action's effect is taken back by itself; `begun`: from now on nothing calls that off."""

    action: str
    time: datetime
    begun: bool = False


class Sort(StrEnum):
    """What goes up."""

    ITEMS = auto()
    RECEIPT = auto()
    REPORT = auto()


@dataclass(frozen=True)
class Outgoing:
    """Something that goes up, in the order of `position`, until it is stored there."""

    id: str
    action: str
    sort: Sort
    position: int
    body: bytes
    stored: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A resolved list, named by the SHA-256 of its bytes in hex."""

    digest: str
    items: bytes
    keep_time: datetime


@dataclass(frozen=True)
class Cap:
    """How many effects of a kind were begun in an hour since 1970."""

    kind: str
    hour: int
    begun: int


KNOWN = table(Known, "known", "id")
ORDERS = table(Order, "warrants", "action")
CALLED_OFF = table(CalledOff, "called_off", "action")
PLANS = table(Begun, "plans", "id")
FENCES = table(Fence, "fences", "key")
OWNERS = table(Owner, "owners", "key")
REVERTS = table(Revert, "reverts", "action")
DEAD_MEN = table(Revert, "dead_men", "action")
"""What is taken back unless the centre acknowledges its receipt before."""
OUTGOING = table(Outgoing, "outgoing", "id")
SNAPSHOTS = table(Snapshot, "snapshots", "digest")
CAPS = table(Cap, "caps", "kind")
