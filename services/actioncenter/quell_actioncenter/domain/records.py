"""What the Action Center keeps. Contract messages stand in records whole; columns beside them are for finding rows.

A record is a value: a changed one is a new one, its messages copied first.
"""

from dataclasses import dataclass
from datetime import datetime

from quell.actioncenter.v1 import action_pb2, control_service_pb2, effect_pb2, investigation_pb2, policy_service_pb2
from quell.executor.v1 import target_report_pb2


@dataclass(frozen=True)
class ActionRecord:
    """An action, and what deciding and sending it needs besides."""

    name: str
    action: action_pb2.Action
    """As the contract shows it; only the progress, which is not durable, is laid over it on reading."""
    state: int
    """`ActionState`."""
    kind: str
    """Of an undo, the inverse of what is undone: it counts for rights, freeze, queues and filters."""
    plane: str
    device: str
    """`devices/{device}`; empty for other planes."""
    target: str
    """What it acts on, in canonical form, for people and filters."""
    investigation: str
    equal_key: str
    """Equal for actions of one investigation with the same kind, target and parameters."""
    content: bytes
    """Digest of what was asked for under its id: the same again answers, other content is refused."""
    fate: str
    """How its investigation counts it (`investigation.Fate`), whether or not it does; empty before its birth."""
    create_time: datetime
    update_time: datetime
    etag_time: datetime
    """When its etag last changed."""
    due_time: datetime | None
    """When the timer has to look at it next."""
    last_event: int
    """Number of its newest audit entry: grows with every durable change, so watchers go on from it."""
    events: int = 0
    """How many events its history has."""
    revision: int = 1
    """The etag as a number."""
    needs: int = 0
    """How many people must approve it in all."""
    preview: bytes = b""
    """Bytes of the `Preview` that an approval binds; from the first vote on they stay."""
    planned_chunks: int = 0
    """How many chunks of items its last preview has."""
    warrant_digest: bytes = b""
    """SHA-256 of the body of the warrant that was sent; only a receipt that names it counts."""
    seal_key: bytes = b""
    """Whose receipt counts: fingerprint of the identity key that the warrant named."""
    receipts: tuple[str, ...] = ()
    """Ids of the receipts that came."""
    effect_time: datetime | None = None
    """The time of the newest receipt or effect report; an older effect report is a repetition."""
    effect_report: str = ""
    """Id of the newest effect report."""
    undo: str = ""
    """The undo of it that is open or done."""
    fallen: bool = False
    """What asked for it no longer does: the verdict has changed."""
    supersedes: tuple[str, ...] = ()
    """Actions that were superseded by this one, whose fate is this one's."""


@dataclass(frozen=True)
class InvestigationRecord:
    """An investigation and the facts from which its state is derived."""

    name: str
    investigation: investigation_pb2.Investigation
    detector: str
    state: int
    """`InvestigationState`."""
    content: bytes
    """Digest of what was submitted under its id."""
    create_time: datetime
    update_time: datetime
    last_event: int
    complete: bool = False
    terminated: bool = False
    devices: tuple[str, ...] = ()
    """Up to two devices that its evidence names: with exactly one, evidence without a device is on it."""
    evidence: int = 0
    threats: int = 0
    undetermined: int = 0
    unserved: int = 0
    pending: int = 0
    waiting: int = 0
    running: int = 0
    remediated: int = 0
    rejected: int = 0
    failed: int = 0
    expired: int = 0
    undone: int = 0


@dataclass(frozen=True)
class EvidenceRecord:
    """One piece of evidence, in its highest revision; the revisions before stand in the audit log."""

    name: str
    stored: investigation_pb2.StoredEvidence
    investigation: str
    number: int
    """Position in its investigation, in the order in which it came, from 1."""
    revision: int
    content: bytes
    """Digest of the evidence: an equal revision must be the same."""
    verdict: int
    no_action: int
    """`NoActionReason`; 0 if an action followed."""
    waits_for: str
    """What would have it read again: `host/{host name}`, `devices/{device}`, `investigation` or `plane/{plane}`."""
    update_time: datetime


@dataclass(frozen=True)
class OutboxRecord:
    """What is to be sent, and goes on being sent until its receipt."""

    action: str
    plane: str
    device: str
    kind: str
    order: int
    """0: overtakes; 1: changes the world; 2: only reads."""
    sequence: int
    state: int
    """`ActionState`: QUEUED, WAITING_FOR_TARGET, DISPATCHED or RUNNING."""
    sealed: bytes = b""
    """The sealed warrant; empty until it was claimed. A resend sends these bytes."""
    cancel: bool = False


@dataclass(frozen=True)
class EventRecord:
    """One entry of the audit log, hash-chained. Those whose `resource` is an action are the action's history."""

    number: int
    time: datetime
    actor: str
    event: str
    resource: str
    payload: bytes
    """An `AuditEntry` with all of the above; in its own `payload` the event's message (`ActionEvent` of actions)."""
    payload_digest: bytes
    hash: bytes


@dataclass(frozen=True)
class RequestRecord:
    """An id that a client made for a vote, a freeze or a feedback, and what it was used for."""

    id: str
    resource: str
    content: bytes
    """Digest of what was asked for under the id."""


PLANNED, OUTCOMES = 0, 1
"""Phases of items: as the last preview found them, and what came of each."""


def chunk_name(action: str, phase: int, index: int) -> str:
    """Return the name of a chunk of an action's items; in the order of names, chunks are in the executor's."""
    return f"{action}/{phase}/{index:06}"


@dataclass(frozen=True)
class ItemChunkRecord:
    """Some items of an action, in the executor's order. `name` is its `chunk_name`."""

    name: str
    action: str
    phase: int
    """PLANNED or OUTCOMES."""
    index: int
    body: bytes
    """A serialized `ItemOutcomes`."""


@dataclass(frozen=True)
class EffectRecord:
    """An effect in force."""

    name: str
    effect: effect_pb2.Effect
    kind: str
    target: str
    device: str
    action: str
    state: int
    """`EffectState`."""
    start_time: datetime
    probe_time: datetime


@dataclass(frozen=True)
class TargetRecord:
    """A device, as reported; its key is proven by its own sealed enrolment statement."""

    name: str
    report: target_report_pb2.TargetReport
    state: int
    """`TargetState`."""
    identity_key: bytes
    host_names: tuple[str, ...]
    """All that it ever claimed, in lower case."""
    kinds: tuple[str, ...]
    """Those that it offers."""


@dataclass(frozen=True)
class HostRecord:
    """A host name in lower case and the devices that ever claimed it."""

    host_name: str
    devices: tuple[str, ...]


@dataclass(frozen=True)
class ExecutorRecord:
    """An executor that is configured, as its last hello told."""

    plane: str
    identity_key: bytes
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class EqualRecord:
    """Actions of one investigation that are equal in kind, target and parameters, oldest first."""

    key: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class BudgetRecord:
    """What was used of a budget lately."""

    name: str
    uses: tuple[str, ...]
    """`{start of a slice of the window, microseconds}:{how many}`, oldest first."""


@dataclass(frozen=True)
class FreezeRecord:
    """The freeze; there is one row, `freeze`."""

    name: str
    status: control_service_pb2.FreezeStatus
    sealed: bytes
    """The sealed `Freeze`; empty as long as nothing was ever frozen."""


@dataclass(frozen=True)
class PolicyRecord:
    """A version of the policy."""

    number: int
    policy: policy_service_pb2.Policy


@dataclass(frozen=True)
class CounterRecord:
    """A number that only grows: `sequence`, `audit` (with the hash of its newest entry), `policy`, `start`."""

    name: str
    value: int
    digest: bytes = b""
