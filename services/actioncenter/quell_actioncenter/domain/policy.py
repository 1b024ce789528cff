"""What follows from evidence, and how it is decided: a pure function of the policy and of what is known.

Budgets are counted later, in the transaction that lets an action happen (`budgets`).
"""

from dataclasses import dataclass
from datetime import timedelta

from quell.actioncenter.v1 import investigation_pb2
from quell.remediation.v1 import evidence_pb2, remediation_pb2, verdict_pb2

from quell_actioncenter.domain import decision, playbook, targets
from quell_actioncenter.domain.block_pattern import TargetRefusedError
from quell_actioncenter.domain.decision import Decision
from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.policy_document import Group, Harmful, Policy, Rule, Things, Verdicts, Way
from quell_actioncenter.domain.targets import Device, Facts, Resolved, Unresolved
from quell_runtime.kinds import Kind, is_cluster, kind_of, kinds

_HARMFUL = {
    verdict_pb2.VERDICT_MALICIOUS: Harmful.MALICIOUS,
    verdict_pb2.VERDICT_SUSPICIOUS: Harmful.SUSPICIOUS,
}


@dataclass(frozen=True, slots=True)
class Derived:
    """An action that follows from evidence. `resolved_by` is the host name by which its device was found, if so."""

    remediation: remediation_pb2.Remediation
    decision: Decision
    resolved_by: str = ""
    revert_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why nothing follows, in one sentence.

    `waits_for` is what would have the evidence read again: `host/{host name}`, `devices/{device}`, `investigation`
    (another device in it) or `plane/{plane}`; empty: nothing would.
    """

    reason: investigation_pb2.NoActionReason.ValueType
    message: str
    waits_for: str = ""

    @property
    def wire(self) -> investigation_pb2.NoAction:
        """The same as the contract writes it."""
        return investigation_pb2.NoAction(reason=self.reason, message=self.message)


def decide_evidence(policy: Policy, evidence: evidence_pb2.Evidence, facts: Facts) -> tuple[Derived, ...] | Nothing:
    """Return the actions that follow from evidence, one for each rule that fits and can be served; or why none does."""
    verdict = _HARMFUL.get(evidence.verdict)
    if verdict is None:
        return _harmless(evidence)
    entity = str(evidence.WhichOneof("entity"))
    if not playbook.served(evidence):
        what = evidence.other.kind or entity
        return Nothing(investigation_pb2.NO_ACTION_REASON_KIND_UNSUPPORTED, f"No remediation is known for {what}.")
    found = _found(policy, evidence, facts)
    derived = tuple(one for one in found if isinstance(one, Derived))
    if derived:
        return derived
    nobody = f"No rule of the playbook is for {verdict} {entity} evidence."
    nothing = Nothing(investigation_pb2.NO_ACTION_REASON_POLICY, nobody)
    return next((one for one in found if isinstance(one, Nothing)), nothing)


def waits_for(policy: Policy, evidence: evidence_pb2.Evidence, facts: Facts) -> str:
    """Return what would have evidence read again although something follows: one more rule fits, and can't be served.

    As `Nothing.waits_for`; empty: nothing would.
    """
    if len(_fitting(policy, evidence)) == 1:
        return ""
    found = _found(policy, evidence, facts)
    return next((one.waits_for for one in found if isinstance(one, Nothing) and one.waits_for), "")


def _found(policy: Policy, evidence: evidence_pb2.Evidence, facts: Facts) -> list[Derived | Nothing]:
    """Return what each rule makes of evidence that it fits."""
    return [_follow(policy, rule, evidence, facts) for rule in _fitting(policy, evidence)]


def _fitting(policy: Policy, evidence: evidence_pb2.Evidence) -> list[Rule]:
    entity = str(evidence.WhichOneof("entity"))
    return [rule for rule in policy.playbook if _fits(rule, entity, evidence)]


def _harmless(evidence: evidence_pb2.Evidence) -> Nothing:
    if evidence.verdict == verdict_pb2.VERDICT_NO_THREATS_FOUND:
        return Nothing(investigation_pb2.NO_ACTION_REASON_NO_THREAT, "No threat was found in it.")
    return Nothing(investigation_pb2.NO_ACTION_REASON_UNDETERMINED, "No verdict was reached about it.")


def _fits(rule: Rule, entity: str, evidence: evidence_pb2.Evidence) -> bool:
    confidence = evidence.confidence if evidence.HasField("confidence") else 1.0
    return (
        entity in rule.evidence and _HARMFUL[evidence.verdict] in rule.verdicts and confidence >= rule.least_confidence
    )


def _follow(policy: Policy, rule: Rule, evidence: evidence_pb2.Evidence, facts: Facts) -> Derived | Nothing:
    """Return what one rule makes of evidence that it fits."""
    kind = kinds()[rule.remediation]
    where = targets.resolve(evidence, facts) if kind.plane == "device" else Resolved(None)
    if isinstance(where, Unresolved):
        return Nothing(investigation_pb2.NO_ACTION_REASON_TARGET_UNRESOLVED, where.message, where.waits_for)
    device = where.device
    way = rule.decision or _verdicts(policy, kind, device).way(_HARMFUL[evidence.verdict])
    if way == Way.NONE:
        return Nothing(investigation_pb2.NO_ACTION_REASON_POLICY, f"Rule {rule.name}: its verdict leads to nothing.")
    if not facts.offers(kind, device):
        who, waits_for = (device.name, device.name) if device else (f"The {kind.plane} plane", f"plane/{kind.plane}")
        message = f"{who} does not offer {kind.name}."
        return Nothing(investigation_pb2.NO_ACTION_REASON_EXECUTOR_LACKS_KIND, message, waits_for)
    try:
        filled = playbook.fill(
            rule.form, evidence, device.name if device else "", refuse_suffixes=policy.refuse_public_suffixes
        )
    except TargetRefusedError as refusal:
        return Nothing(investigation_pb2.NO_ACTION_REASON_TARGET_REFUSED, str(refusal))
    touched = targets.touched(filled, device)
    excluded = decision.exclusion(policy, kind.name, touched)
    if excluded:
        return Nothing(investigation_pb2.NO_ACTION_REASON_POLICY, f"Exclusion {excluded} forbids it.")
    doubts = _doubts(policy, filled, where.resolved_by)
    decided = _decided(policy, rule, touched, doubts if way == Way.AUTOMATIC else (f"rule {rule.name}", *doubts))
    return Derived(filled, decided, where.resolved_by, rule.revert_after)


def _verdicts(policy: Policy, kind: Kind, device: Device | None) -> Verdicts:
    """Return the verdict table that counts: of the first group that the device is in, else of the plane."""
    if device is None:
        return policy.verdicts.email if kind.plane == "email" else policy.verdicts.device
    group = group_of(policy, device)
    return group.verdicts if group else policy.verdicts.device


def group_of(policy: Policy, device: Device) -> Group | None:
    """Return the first group that a device is in."""
    for group in policy.device_groups:
        named = Things(devices=group.devices, host_names=group.host_names).among(targets.labels(device))
        if named or not device.tags.isdisjoint(group.tags):
            return group
    return None


def _doubts(policy: Policy, remediation: remediation_pb2.Remediation, resolved_by: str) -> tuple[str, ...]:
    """Return why people must decide whatever the verdict says."""
    doubts = []
    if resolved_by and not policy.trust_host_names:
        doubts.append(f"its device was found by the host name {resolved_by}")
    if is_cluster(remediation):
        doubts.append("its messages must be looked at first")
    return (*doubts, *decision.sealed(policy, kind_of(remediation).name))


def _decided(policy: Policy, rule: Rule, touched: Things, asked: tuple[str, ...]) -> Decision:
    """Return the decision; `asked` is why people must decide, empty if the verdict lets it happen."""
    kind = rule.remediation
    protected = decision.protection(policy, touched)
    held_votes = decision.people(policy, kind, held=True)
    permission = decision.approve_permission(kind)
    if asked:
        votes = held_votes if protected else decision.people(policy, kind, held=False)
        return Decision(Event.ASKED, rule.name, permission, votes, (*asked, *protected), held_votes)
    let = Decision(Event.LET, rule.name, permission, held_votes=held_votes)
    return let.held(protected[0]) if protected else let
