"""Where an investigation is, and what came of it: one pure function of stored facts. Nothing sets it by hand."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto

from quell.actioncenter.v1 import investigation_pb2

from quell_actioncenter.domain.lifecycle import State


class InvestigationState(IntEnum):
    """Where an investigation is. Names and numbers are the contract's; a test holds them equal."""

    PENDING_APPROVAL = 1
    PENDING_RESOURCE = 2
    RUNNING = 3
    NO_THREATS_FOUND = 4
    REMEDIATED = 5
    PARTIALLY_REMEDIATED = 6
    PARTIALLY_INVESTIGATED = 7
    FAILED = 8
    TERMINATED_BY_USER = 9
    TERMINATED_BY_SYSTEM = 10

    @property
    def wire(self) -> investigation_pb2.InvestigationState.ValueType:
        """The state as the contract writes it."""
        return investigation_pb2.InvestigationState.ValueType(self.value)

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self > InvestigationState.RUNNING


class Fate(StrEnum):
    """How an action counts for its investigation."""

    PENDING = auto()
    WAITING = auto()
    RUNNING = auto()
    REMEDIATED = auto()
    REJECTED = auto()
    FAILED = auto()
    EXPIRED = auto()


_FATES = {
    State.PENDING_APPROVAL: Fate.PENDING,
    State.HELD: Fate.PENDING,
    State.QUEUED: Fate.RUNNING,
    State.WAITING_FOR_TARGET: Fate.WAITING,
    State.DISPATCHED: Fate.RUNNING,
    State.RUNNING: Fate.RUNNING,
    State.SUCCEEDED: Fate.REMEDIATED,
    State.NOT_NEEDED: Fate.REMEDIATED,
    State.PARTIALLY_SUCCEEDED: Fate.FAILED,
    State.FAILED: Fate.FAILED,
    State.TIMED_OUT: Fate.FAILED,
    State.REJECTED: Fate.REJECTED,
    State.CANCELED: Fate.REJECTED,
    State.EXPIRED: Fate.EXPIRED,
}


def fate(state: State, superseder: Fate = Fate.FAILED) -> Fate:
    """Return how an action counts; one that was superseded counts as what came first does.

    `superseder`: the fate of that one; REJECTED if it is an undo or a release, for then people took it back; FAILED if
    it isn't known.
    """
    return superseder if state == State.SUPERSEDED else _FATES[state]


@dataclass(frozen=True, slots=True)
class Facts:
    """What an investigation's state follows from: how many actions have which fate, its evidence, and what was said.

    Undo actions have no fate; `undone` counts what they took back.
    """

    pending: int = 0
    waiting: int = 0
    running: int = 0
    remediated: int = 0
    rejected: int = 0
    failed: int = 0
    expired: int = 0
    undone: int = 0
    evidence: int = 0
    threats: int = 0
    undetermined: int = 0
    unserved: int = 0
    complete: bool = False
    analysis_failed: bool = False
    terminated: bool = False


def state_of(facts: Facts) -> InvestigationState:
    """Return where the investigation is: the first of these that fits."""
    actions = facts.remediated + facts.rejected + facts.failed + facts.expired
    under_way = facts.running or not (facts.complete or facts.terminated)
    found = (
        (facts.pending, InvestigationState.PENDING_APPROVAL),
        (facts.waiting, InvestigationState.PENDING_RESOURCE),
        (under_way, InvestigationState.RUNNING),
        (facts.analysis_failed, InvestigationState.FAILED),
        (facts.terminated, InvestigationState.TERMINATED_BY_USER),
        (actions and facts.expired == actions, InvestigationState.TERMINATED_BY_SYSTEM),
        (not facts.threats and not _only_undetermined(facts), InvestigationState.NO_THREATS_FOUND),
        # A threat that nothing was done about is no remediated one.
        (actions and facts.remediated == actions and not facts.unserved, InvestigationState.REMEDIATED),
        (not actions, InvestigationState.PARTIALLY_INVESTIGATED),
    )
    return next((state for fits, state in found if fits), InvestigationState.PARTIALLY_REMEDIATED)


def outcome_of(facts: Facts) -> investigation_pb2.InvestigationOutcome:
    """Return what came of it so far, in numbers."""
    return investigation_pb2.InvestigationOutcome(
        threats=facts.threats,
        remediated=facts.remediated,
        rejected=facts.rejected,
        failed=facts.failed,
        expired=facts.expired,
        unserved=facts.unserved,
        undone=facts.undone,
    )


def _only_undetermined(facts: Facts) -> bool:
    return 0 < facts.evidence == facts.undetermined
