"""The policy as data: all that a policy document can say."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum, auto
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass
from quell.remediation.v1 import remediation_pb2

from quell_actioncenter.domain import playbook
from quell_runtime.kinds import kinds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STRICT = ConfigDict(extra="forbid", strict=True)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a duration is a number and a unit: 90s, 15m, 12h, 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _kind(value: str) -> str:
    if value not in kinds():
        raise ValueError(f"there is no kind {value}")
    return value


def _entity(value: str) -> str:
    if value not in playbook.FITTING:
        raise ValueError(f"no remediation is known for {value} evidence")
    return value


Duration = Annotated[timedelta, PlainValidator(_duration)]
Kind = Annotated[str, AfterValidator(_kind)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Way(StrEnum):
    """What a rule says of something that could be done."""

    NONE = auto()
    APPROVAL = auto()
    AUTOMATIC = auto()


class Harmful(StrEnum):
    """The verdicts from which something can follow."""

    MALICIOUS = auto()
    SUSPICIOUS = auto()


@dataclass(frozen=True, config=_STRICT)
class Verdicts:
    """What a verdict leads to."""

    malicious: Way
    suspicious: Way

    def way(self, verdict: Harmful) -> Way:
        """Return what the verdict leads to."""
        return self.malicious if verdict == Harmful.MALICIOUS else self.suspicious


@dataclass(frozen=True, config=_STRICT)
class Planes:
    """The verdict table: one row a plane."""

    device: Verdicts
    email: Verdicts


@dataclass(frozen=True, config=_STRICT)
class Group:
    """Devices with a verdict table of their own: by pattern of name or host name, or by one of their tags."""

    name: Name
    verdicts: Verdicts
    devices: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, config=_STRICT)
class Rule:
    """A rule of the playbook: evidence that it fits leads to the remediation."""

    name: Name
    evidence: tuple[Annotated[str, AfterValidator(_entity)], ...]
    remediation: Kind
    verdicts: tuple[Harmful, ...] = tuple(Harmful)
    least_confidence: Annotated[float, Field(ge=0, le=1)] = 0
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    decision: Way | None = None
    revert_after: Duration | None = None

    def __post_init__(self) -> None:
        """Refuse what can never be done."""
        for entity in self.evidence:
            if self.remediation not in playbook.FITTING[entity]:
                raise ValueError(f"{self.remediation} can't follow from {entity} evidence")
        if self.revert_after and not kinds()[self.remediation].undoable:
            raise ValueError(f"{self.remediation} can't be taken back")
        playbook.check(self.form)

    @cached_property
    def form(self) -> remediation_pb2.Remediation:
        """The remediation with its parameters and without its target."""
        return playbook.form(self.remediation, self.parameters)


@dataclass(frozen=True, config=_STRICT)
class Approvals:
    """How many people must stand behind an action; who asked for it counts as one, and is never alone.

    What is `sealed` needs votes that are sealed with people's own keys: it is never automatic, and who asked for it
    does not count, having sealed nothing.
    """

    default: Count = 1
    held: Count = 1
    kinds: Mapping[Kind, Count] = Field(default_factory=dict)
    sealed: tuple[Kind, ...] = ()


@dataclass(frozen=True, config=_STRICT)
class Budget:
    """How many actions of some kinds the policy lets happen by itself in any window of this length."""

    name: Name
    kinds: tuple[Kind, ...]
    window: Duration
    limit: Annotated[int, Field(ge=0, le=1_000_000_000)]


@dataclass(frozen=True, config=_STRICT)
class Things:
    """Things by pattern (`*` is any text): one that fits one of the patterns is meant."""

    devices: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    url_hosts: tuple[str, ...] = ()

    def among(self, touched: "Things") -> str:
        """Return the first of the touched things that is meant, or an empty string."""
        found = (
            thing
            for field in ("devices", "host_names", "paths", "hashes", "mailboxes", "url_hosts")
            for thing in getattr(touched, field)
            if any(_fits(thing, pattern, field) for pattern in getattr(self, field))
        )
        return next(found, "")


def _fits(thing: str, pattern: str, field: str) -> bool:
    # Only paths tell apart upper and lower case.
    return fnmatchcase(thing, pattern) if field == "paths" else fnmatchcase(thing.lower(), pattern.lower())


@dataclass(frozen=True, config=_STRICT)
class Exclusion:
    """Things to which some kinds (none named: every kind) are never done."""

    name: Name
    things: Things
    kinds: tuple[Kind, ...] = ()


@dataclass(frozen=True, config=_STRICT)
class PerKind:
    """A length of time, and those of some kinds."""

    default: Duration
    kinds: Mapping[Kind, Duration] = Field(default_factory=dict)

    def of(self, kind: str) -> timedelta:
        """Return that of a kind."""
        return self.kinds.get(kind, self.default)


@dataclass(frozen=True, config=_STRICT)
class Times:
    """How long things may take."""

    decision: PerKind
    target: PerKind
    undo: PerKind


@dataclass(frozen=True, config=_STRICT)
class Policy:
    """What follows from which evidence, who decides, and what is protected."""

    verdicts: Planes
    playbook: tuple[Rule, ...]
    times: Times
    device_groups: tuple[Group, ...] = ()
    approvals: Approvals = Field(default_factory=Approvals)
    budgets: tuple[Budget, ...] = ()
    protected: Things = Field(default_factory=Things)
    exclusions: tuple[Exclusion, ...] = ()
    max_items: Mapping[Kind, Count] = Field(default_factory=dict)
    trust_host_names: bool = False
    single_operator: bool = False
    refuse_public_suffixes: bool = True

    def __post_init__(self) -> None:
        """Refuse names that stand for two things."""
        for named in (self.playbook, self.device_groups, self.budgets, self.exclusions):
            names = [one.name for one in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{', '.join(twice)}: the name is used twice")
