"""What one policy would decide otherwise than another."""

import pytest
from quell.actioncenter.v1 import action_pb2

from evidence_of import FACTS, evidence
from quell_actioncenter.domain.comparison import differences
from quell_actioncenter.domain.policy_yaml import default_document, read_policy

ISOLATING = """
  - name: isolate
    evidence: [file]
    remediation: isolate_device
    parameters: {mode: ISOLATION_MODE_FULL}
    decision: approval
"""
ISOLATED = default_document().replace("\nplaybook:\n", f"\nplaybook:{ISOLATING}")
NONE, PENDING, QUEUED = (
    action_pb2.ACTION_STATE_UNSPECIFIED,
    action_pb2.ACTION_STATE_PENDING_APPROVAL,
    action_pb2.ACTION_STATE_QUEUED,
)


def told(before: str, after: str) -> list[tuple[str, int, int, str]]:
    """Return what differs about a malicious file."""
    found = differences(read_policy(before), read_policy(after), evidence("file", "MALICIOUS"), FACTS)
    return [(each.kind, each.before, each.after, each.rule) for each in found]


@pytest.mark.parametrize("document", [default_document(), ISOLATED])
def test_a_policy_does_not_differ_from_itself(document: str) -> None:
    """Whatever it says."""
    assert told(document, document) == []


def test_what_comes_and_what_goes_is_told() -> None:
    """By the rule of the one that has it."""
    assert told(default_document(), ISOLATED) == [("isolate_device", NONE, PENDING, "isolate")]
    assert told(ISOLATED, default_document()) == [("isolate_device", PENDING, NONE, "isolate")]


def test_other_parameters_are_another_action() -> None:
    """The one goes, the other comes."""
    selective = ISOLATED.replace("MODE_FULL}", "MODE_SELECTIVE, exclusions: [{remotes: [10.0.0.0/8]}]}")
    assert told(ISOLATED, selective) == [
        ("isolate_device", PENDING, NONE, "isolate"),
        ("isolate_device", NONE, PENDING, "isolate"),
    ]


def test_equal_actions_of_two_rules_are_one() -> None:
    """It is born as the rule says that asks for no people."""
    twice = ISOLATED.replace(ISOLATING, ISOLATING + ISOLATING.replace("isolate\n", "isolate-too\n", 1))
    assert told(ISOLATED, twice) == []
    by_itself = twice.replace("approval\n\n  - name: isolate-too", "automatic\n\n  - name: isolate-too")
    assert by_itself != twice
    assert told(ISOLATED, by_itself) == [("isolate_device", PENDING, QUEUED, "isolate")]
