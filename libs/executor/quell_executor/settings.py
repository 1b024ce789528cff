"""What an executor is told by those who run it. No server can lift it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from quell_executor.quorum import Quorum
from quell_runtime.seams import Clock, Point, Rng, SystemClock, SystemRng, nowhere


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what others can take away is seen to, in seconds.

    `look` lies between two looks at least, so that whoever works against it in a loop does not keep us busy; `again`
    until the next look at what could not be made so, or not be looked at; `quiet` between two reports of one action at
    least: what happens between them is told at its end, as one.
    """

    look: float = 1.0
    again: float = 30.0
    quiet: float = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the executor is and what it allows itself.

    `root_key` is the public key pinned at enrolment that seals key sets; `missing` names kinds that can't be served
    here, and why; `window` is the most warrants that it takes without a receipt for one. `quorums` and
    `max_effects_per_hour` are by kind, `protected` are item keys and names that nothing but undo and release touches.

    `dead_man` is how long a receipt may wait to be acknowledged before an effect that can cut it off is taken back;
    `keep` is how long after its warrant's expiry, and after it was let go of, the journal knows an action that is over.
    """

    deployment: str
    root_key: bytes
    missing: Mapping[str, str] = field(default_factory=dict)
    window: int = 1000
    quorums: Mapping[str, Quorum] = field(default_factory=dict)
    max_effects_per_hour: Mapping[str, int] = field(default_factory=dict)
    protected: frozenset[str] = frozenset()
    dead_man: timedelta = timedelta(seconds=60)
    keep: timedelta = timedelta(days=44)
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Seams:
    """What the kit takes from outside: time, chance, and points to crash at."""

    clock: Clock = field(default_factory=SystemClock)
    rng: Rng = field(default_factory=SystemRng)
    point: Point = nowhere
