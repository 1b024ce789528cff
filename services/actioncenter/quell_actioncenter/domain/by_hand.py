"""How an action that somebody asks for by hand is decided: by whom, and never by the requester alone."""

from dataclasses import dataclass

from quell.remediation.v1 import remediation_pb2

from quell_actioncenter.domain import decision, targets
from quell_actioncenter.domain.decision import Decision
from quell_actioncenter.domain.errors import (
    ActionNotUndoableError,
    ExecutorLacksKindError,
    PolicyForbidsError,
    TargetUnresolvedError,
)
from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.targets import Device, Facts
from quell_runtime.kinds import Kind, device_of, kind_of
from quell_runtime.roles import grants

RULE_READS = "by-hand-reads"
RULE_LETS_GO = "by-hand-lets-go"
RULE_PEOPLE = "by-hand-people"
RULE_UNPROVEN = "by-hand-unproven"

_ALWAYS_PEOPLE = frozenset({"release_from_quarantine"})
"""It gives something harmful back: that takes two, as an undo too."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. Of an undo, `remediation` is what is taken back.

    `permissions` are the requester's, as patterns (`quell_runtime.roles`); `proven` tells whether the requester's own
    credential came along.
    """

    remediation: remediation_pb2.Remediation
    permissions: frozenset[str]
    proven: bool = True
    undo: bool = False


def decide_request(policy: Policy, request: Request, facts: Facts) -> Decision:
    """Return how it is decided: LET or ASKED.

    What reads or lets go is neither excluded nor protected: nothing may stand in the way back.

    Raises:
        TargetUnresolvedError: There is no such device.
        ActionNotUndoableError: There is no longer such a device.
        ExecutorLacksKindError: No executor of the target offers the kind.
        PolicyForbidsError: The target is excluded.

    """
    kind = kind_of(request.remediation)
    device = _device(request, facts)
    if not request.undo and not facts.offers(kind, device):
        raise ExecutorLacksKindError(f"no executor of the target offers {kind.name}", kind=kind.name)
    acting = decision.acting_kind(kind, undo=request.undo)
    if acting.read_only or acting.release:
        protected: tuple[str, ...] = ()
    else:
        touched = targets.touched(request.remediation, device)
        excluded = decision.exclusion(policy, kind.name, touched)
        if excluded:
            raise PolicyForbidsError(f"the exclusion {excluded} of the policy forbids it", rule=excluded)
        protected = decision.protection(policy, touched)
    return _decided(policy, request, acting, protected)


def _device(request: Request, facts: Facts) -> Device | None:
    name = device_of(request.remediation)
    if name and name not in facts.devices and request.undo:
        raise ActionNotUndoableError(f"{name} is no longer in our care", target=name)
    if name and name not in facts.devices:
        raise TargetUnresolvedError(f"there is no device {name}", target=name)
    return facts.devices[name] if name else None


def _decided(policy: Policy, request: Request, acting: Kind, protected: tuple[str, ...]) -> Decision:
    permission = decision.approve_permission(acting.name)
    behind = decision.people(policy, acting.name, held=bool(protected))
    if not request.proven:
        why = ("who asked for it has not proven to be that person", *protected)
        return Decision(Event.ASKED, RULE_UNPROVEN, permission, behind, why)
    sealed = decision.sealed(policy, acting.name)
    if sealed:
        return Decision(Event.ASKED, RULE_PEOPLE, permission, behind, (*sealed, *protected))
    easy = acting.read_only or (acting.release and acting.name not in _ALWAYS_PEOPLE)
    if easy and grants(request.permissions, permission):
        return Decision(Event.LET, RULE_READS if acting.read_only else RULE_LETS_GO, permission)
    why = (f"{acting.name} needs another person", *protected)
    if easy:
        why = (f"who asked for it does not hold {permission}",)
    # Who asks stands behind it too, but is never alone.
    return Decision(Event.ASKED, RULE_PEOPLE, permission, max(1, behind - 1), why)
