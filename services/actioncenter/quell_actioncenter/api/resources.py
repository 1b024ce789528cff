"""The fields of each resource that lists and watches can be filtered and ordered by; refusals name them."""

from collections.abc import Mapping

from google.protobuf.descriptor import EnumDescriptor
from quell.actioncenter.v1 import action_pb2, investigation_pb2
from quell.remediation.v1 import item_pb2, outcome_pb2, verdict_pb2

from quell_actioncenter.domain.records import (
    ActionRecord,
    EffectRecord,
    EventRecord,
    EvidenceRecord,
    InvestigationRecord,
)
from quell_runtime.kinds import kinds
from quell_runtime.listing.fields import Field, choice, count, text, time

PAGE = 50
"""Resources on a page, if the request does not say."""
PAGE_OF_PARTS = 100
"""Parts of a resource on a page, and audit entries."""


def names_of(enum: EnumDescriptor, prefix: str) -> dict[str, int]:
    """Return the values of a contract's enum by their names without the prefix; UNSPECIFIED is left out."""
    return {value.name.removeprefix(prefix): value.number for value in enum.values if value.number}


ACTION_STATE = names_of(action_pb2.ActionState.DESCRIPTOR, "ACTION_STATE_")
EFFECT_STATE = names_of(outcome_pb2.EffectState.DESCRIPTOR, "EFFECT_STATE_")
INVESTIGATION_STATE = names_of(investigation_pb2.InvestigationState.DESCRIPTOR, "INVESTIGATION_STATE_")
ITEM_STATE = names_of(item_pb2.ItemState.DESCRIPTOR, "ITEM_STATE_")
NO_ACTION_REASON = names_of(investigation_pb2.NoActionReason.DESCRIPTOR, "NO_ACTION_REASON_")
VERDICT = names_of(verdict_pb2.Verdict.DESCRIPTOR, "VERDICT_")

ACTION: Mapping[str, Field[ActionRecord]] = {
    "name": text("name", ordered_by=True),
    "state": choice("state", ACTION_STATE),
    "kind": choice("kind", tuple(kinds())),
    "plane": choice("plane", ("device", "email")),
    "device": text("device"),
    "target": text("target"),
    "investigation": text("investigation"),
    "create_time": time("create_time", ordered_by=True),
    "update_time": time("update_time"),
}

INVESTIGATION: Mapping[str, Field[InvestigationRecord]] = {
    "name": text("name", ordered_by=True),
    "state": choice("state", INVESTIGATION_STATE),
    "detector": text("detector"),
    "create_time": time("create_time", ordered_by=True),
    "update_time": time("update_time"),
}

EVIDENCE: Mapping[str, Field[EvidenceRecord]] = {
    "name": text("name"),
    "verdict": choice("verdict", VERDICT),
    "no_action.reason": choice("no_action", NO_ACTION_REASON),
    "update_time": time("update_time"),
}
EVIDENCE_OF: Field[EvidenceRecord] = text("investigation")
EVIDENCE_NUMBER: Field[EvidenceRecord] = count("number", ordered_by=True)

EFFECT: Mapping[str, Field[EffectRecord]] = {
    "name": text("name", ordered_by=True),
    "kind": choice("kind", tuple(kinds())),
    "state": choice("state", EFFECT_STATE),
    "device": text("device"),
    "target": text("target"),
    "action": text("action"),
    "start_time": time("start_time", ordered_by=True),
    "probe_time": time("probe_time"),
}

ENTRY: Mapping[str, Field[EventRecord]] = {
    "number": count("number", ordered_by=True),
    "actor": text("actor"),
    "event": text("event"),
    "resource": text("resource"),
    "time": time("time"),
}


def _within(path: str) -> Field[item_pb2.ItemOutcome]:
    """Return a field of an item; items are found by reading them, so it has no column."""
    thing, name = path.split(".")

    def get(outcome: item_pb2.ItemOutcome) -> str | None:
        return getattr(getattr(outcome.item, thing), name) if outcome.item.WhichOneof("thing") == thing else None

    return text("", get)


ITEM: Mapping[str, Field[item_pb2.ItemOutcome]] = {
    "state": choice("state", ITEM_STATE),
    "failure.reason": text("", lambda outcome: outcome.failure.reason or None),
    **{
        path: _within(path)
        for path in (
            "message.mailbox",
            "message.folder",
            "message.sha256",
            "message.message_id",
            "file.path",
            "file.sha256",
            "process.path",
            "start.path",
            "finding.signature",
            "url.pattern",
            "forwarding.mailbox",
        )
    },
}
