"""What one policy would decide otherwise than another, about one piece of evidence."""

from collections.abc import Iterator, Mapping

from quell.actioncenter.v1 import action_pb2, policy_service_pb2
from quell.remediation.v1 import evidence_pb2

from quell_actioncenter.domain import canonical
from quell_actioncenter.domain.lifecycle import NEXT, Event, State
from quell_actioncenter.domain.policy import Derived, Nothing, decide_evidence
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.targets import Facts
from quell_runtime.kinds import kind_of


def differences(
    before: Policy, after: Policy, evidence: evidence_pb2.Evidence, facts: Facts
) -> Iterator[policy_service_pb2.PolicyDifference]:
    """Yield each action that would be born otherwise, or not at all, or is new."""
    was, would = _actions(before, evidence, facts), _actions(after, evidence, facts)
    for key in {**was, **would}:
        old, new = was.get(key), would.get(key)
        if _born(old) == _born(new):
            continue
        told = new or old
        assert told is not None  # noqa: S101 - the key is of one of them
        yield policy_service_pb2.PolicyDifference(
            kind=kind_of(told.remediation).name, before=_born(old), after=_born(new), rule=told.decision.rule
        )


def _actions(policy: Policy, evidence: evidence_pb2.Evidence, facts: Facts) -> Mapping[str, Derived]:
    """Return what follows, equal actions once: by the rule that asks for no people, if there is one."""
    found = decide_evidence(policy, evidence, facts)
    actions: dict[str, Derived] = {}
    for one in () if isinstance(found, Nothing) else found:
        key = canonical.equal_key("", one.remediation)
        if key not in actions or one.decision.event == Event.LET:
            actions[key] = one
    return actions


def _born(derived: Derived | None) -> action_pb2.ActionState.ValueType:
    """Return the state in which an action is born; UNSPECIFIED if there is none."""
    return (NEXT[State.NONE, derived.decision.event] if derived else State.NONE).wire
