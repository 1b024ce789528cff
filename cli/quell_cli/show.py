"""How actions, investigations and the rest look to people."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from quell.actioncenter.v1 import action_pb2, effect_pb2, investigation_pb2
from quell.remediation.v1 import evidence_pb2, item_pb2, outcome_pb2, remediation_pb2, target_pb2, verdict_pb2

from quell_cli.plain import plain
from quell_runtime.kinds import kind_of, order_of

SHORT = 8


def short(name: str) -> str:
    """Return as much of an id as people type: `actions/3f2a91bc` is `3f2a91bc`."""
    return name.rpartition("/")[2][:SHORT]


def time(stamped: Timestamp, *, utc: bool) -> str:
    """Return a time, local unless asked otherwise; empty if there is none."""
    if not stamped.ToMicroseconds():
        return ""
    found = datetime.fromtimestamp(stamped.ToMicroseconds() / 1_000_000, UTC)
    return f"{found:%Y-%m-%d %H:%M:%S}Z" if utc else f"{found.astimezone():%Y-%m-%d %H:%M:%S}"


def state(action: action_pb2.Action) -> str:
    """Return an action's state, with how far it is and why it failed."""
    name = action_pb2.ActionState.Name(action.state).removeprefix("ACTION_STATE_")
    if action.HasField("progress") and action.progress.HasField("percent"):
        name += f" {action.progress.percent} %"
    if action.failure.reason:
        name += f" ({action.failure.reason})"
    return name + (" undone" if action.undone_by else "")


def investigation_state(found: investigation_pb2.Investigation) -> str:
    """Return where an investigation is."""
    return investigation_pb2.InvestigationState.Name(found.state).removeprefix("INVESTIGATION_STATE_")


EFFECT = ("what", "target", "action", "since", "until", "last look", "looked at")
"""The columns of an effect in force."""


def effect(found: effect_pb2.Effect, *, utc: bool) -> tuple[str, ...]:
    """Return the row of an effect in force."""
    return (
        kind_of(found.remediation).name,
        target(found.remediation),
        short(found.action),
        time(found.start_time, utc=utc),
        time(found.revert_time, utc=utc) or "never",
        outcome_pb2.EffectState.Name(found.state).removeprefix("EFFECT_STATE_"),
        time(found.probe_time, utc=utc),
    )


def what(action: action_pb2.Action) -> str:
    """Return what an action does, an undo said so."""
    kind = kind_of(action.remediation).name
    return f"undo {kind}" if action.undo_of else kind


def target(remediation: remediation_pb2.Remediation) -> str:
    """Return what a remediation is for, in a few words."""
    order = order_of(remediation)
    field = kind_of(remediation).target_field
    if field == "messages":
        return messages(order.messages)  # type: ignore[attr-defined]
    parts = [str(getattr(order, field))]
    if order.DESCRIPTOR.fields_by_name.get("file"):
        parts.append(file(order.file))  # type: ignore[attr-defined]
    return plain(" ".join(parts))


def file(selector: target_pb2.FileSelector | evidence_pb2.FileEvidence) -> str:
    """Return which file is meant."""
    digest = selector.sha256[:12] or selector.sha1[:12]
    return plain(" ".join(part for part in (selector.path, digest and f"({digest}…)") if part))


def messages(selector: target_pb2.MessageSelector) -> str:
    """Return which messages are meant."""
    if selector.WhichOneof("by") == "messages":
        return ", ".join(message(ref) for ref in selector.messages.messages[:3])
    return cluster(selector.cluster)


def message(ref: target_pb2.MessageRef) -> str:
    """Return which message is meant."""
    told = ref.message_id or ref.sha256[:12] or f"{ref.location.folder}/{ref.location.uid}"
    return plain(f"{ref.mailbox.removeprefix('mailboxes/') or 'every mailbox'}: {told}")


def cluster(found: target_pb2.MessageCluster) -> str:
    """Return what a cluster's messages share."""
    return plain(" & ".join(f"{field.name}={value}" for field, value in found.ListFields() if isinstance(value, str)))


def evidence(found: evidence_pb2.Evidence) -> str:
    """Return what a piece of evidence is, with its verdict."""
    verdict = verdict_pb2.Verdict.Name(found.verdict).removeprefix("VERDICT_").lower()
    entity = found.WhichOneof("entity") or "nothing"
    match entity:
        case "file":
            told = file(found.file)
        case "process":
            told = f"{found.process.pid} {file(found.process.image)}"
        case "message":
            told = message(found.message)
        case "cluster":
            told = cluster(found.cluster)
        case "url":
            told = found.url.url
        case "mailbox":
            told = found.mailbox.mailbox
        case _:
            told = ""
    return plain(f"{verdict} {entity} {told}".strip())


def item(found: item_pb2.Item) -> str:
    """Return one item."""
    return plain(_item(found))


def _item(found: item_pb2.Item) -> str:
    match found.WhichOneof("thing"):
        case "message":
            return f"{found.message.mailbox.removeprefix('mailboxes/')} {found.message.folder}: {found.message.subject}"
        case "file" | "start" | "finding":
            return _on_disk(found)
        case "url" | "device":
            return found.url.pattern or found.device.aspect
        case "process":
            return f"{found.process.pid} {found.process.path}"
        case "forwarding":
            return _forwarding(found.forwarding)
        case kind:
            return str(kind)


def _forwarding(found: item_pb2.ForwardingItem) -> str:
    told = f"{found.place}: to {', '.join(found.addresses) or 'where nobody can tell'}"
    others = f", with {', '.join(found.other_rules)}" if found.other_rules else ""
    return f"{told}; off as a whole, since {found.whole}{others}" if found.whole else told


def _on_disk(found: item_pb2.Item) -> str:
    if found.HasField("start"):
        return f"{found.start.path}: {found.start.entry or 'all of it'}"
    if found.HasField("finding"):
        member = f"!{found.finding.member}" if found.finding.member else ""
        return f"{found.finding.file.path}{member}: {found.finding.signature}"
    return f"{found.file.path} {found.file.sha256[:12]}"


def item_state(found: item_pb2.ItemOutcome) -> str:
    """Return what became of an item, and why it is no better."""
    name = item_pb2.ItemState.Name(found.state).removeprefix("ITEM_STATE_")
    return f"{name} ({found.failure.reason})" if found.failure.reason else name


def need(found: action_pb2.ApprovalNeed) -> str:
    """Return what an action waits for."""
    sealed = "sealed " if found.sealed else ""
    return f"needs {found.missing_votes} {sealed}approval(s) with {found.permission}: {'; '.join(found.reasons)}"


def outcome(found: outcome_pb2.Outcome) -> str:
    """Return what came of an action."""
    effect = outcome_pb2.EffectState.Name(found.effect).removeprefix("EFFECT_STATE_")
    counts = [
        f"{value} {field.name.removesuffix('_items')}"
        for field, value in found.items.ListFields()
        if field.name != "total_items"
    ]
    return f"{effect}: {', '.join(counts) or 'no items'} of {found.items.total_items}"


def outcome_of_investigation(found: investigation_pb2.InvestigationOutcome) -> str:
    """Return what came of an investigation, in numbers: threats are evidence, several may lead to one action."""
    evidence, actions = list[str](), list[str]()
    for field, value in found.ListFields():
        told = evidence if field.name in ("threats", "unserved") else actions
        told.append(f"{value} {field.name}")
    parts = [f"evidence: {', '.join(evidence)}"] if evidence else []
    return "; ".join([*parts, *([f"actions: {', '.join(actions)}"] if actions else [])]) or "nothing"
