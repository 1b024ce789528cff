"""From evidence to the remediation that it asks for: what can follow from what, and how the target is written."""

from collections.abc import Mapping
from typing import Any

import protovalidate
from google.protobuf import json_format
from quell.remediation.v1 import evidence_pb2, remediation_pb2, target_pb2

from quell_actioncenter.domain import block_pattern
from quell_actioncenter.domain.block_pattern import TargetRefusedError
from quell_runtime.kinds import kind_of, order_of

_DEVICE_WIDE = frozenset(
    {"collect_investigation_package", "isolate_device", "restrict_code_execution", "run_antivirus_scan"}
)
_OF_FILES = frozenset({"stop_and_quarantine", "request_sample"})
_OF_MESSAGES = frozenset({"soft_delete_messages", "quarantine_messages"})

FITTING: Mapping[str, frozenset[str]] = {
    "file": _OF_FILES | _DEVICE_WIDE,
    "process": _OF_FILES | _DEVICE_WIDE,
    "machine": _DEVICE_WIDE,
    "message": _OF_MESSAGES,
    "cluster": _OF_MESSAGES,
    "attachment": frozenset({"quarantine_attachment"}),
    "url": frozenset({"block_url"}),
    "mailbox": frozenset({"turn_off_external_forwarding"}),
}
"""The kinds that can follow, by evidence: its field name in `Evidence`. For evidence that isn't named none is known."""

_TARGET = frozenset({"device", "file", "messages", "mailbox", "pattern", "action", "attachment", "item"})
_TARGET_PARTS = frozenset({"sha256", "file_name", "part"})


def form(kind: str, parameters: Mapping[str, Any]) -> remediation_pb2.Remediation:
    """Return a remediation of the kind with its parameters, its target not filled in.

    Raises:
        ValueError: The kind has no such parameter, or not of this type; or it is the target, which evidence names.

    """
    named = sorted(parameters.keys() & (_TARGET | _TARGET_PARTS))
    if named:
        raise ValueError(f"{named[0]} comes from the evidence and is no parameter")
    try:
        return json_format.ParseDict({kind: dict(parameters)}, remediation_pb2.Remediation())
    except json_format.ParseError as trouble:
        raise ValueError(f"parameters: {trouble}") from None


def check(remediation: remediation_pb2.Remediation) -> None:
    """Refuse parameters that the contract doesn't allow.

    Raises:
        ValueError: One says why.

    """
    for found in protovalidate.collect_violations(order_of(remediation)):
        violation = found.proto
        path = [element.field_name for element in violation.field.elements] if violation.field else []
        if not path or path[0] not in _TARGET | _TARGET_PARTS:
            raise ValueError(f"parameters: {'.'.join(path)}: {violation.message}")


def served(evidence: evidence_pb2.Evidence) -> bool:
    """Tell whether any remediation is known for what the evidence is."""
    entity = evidence.WhichOneof("entity")
    return entity in FITTING and (entity != "mailbox" or evidence.mailbox.forwards_externally)


def fill(
    blank: remediation_pb2.Remediation, evidence: evidence_pb2.Evidence, device: str, *, refuse_suffixes: bool
) -> remediation_pb2.Remediation:
    """Return the remediation with the target that the evidence names; `device` is resolved, or empty.

    Raises:
        TargetRefusedError: The target can't be acted on as it is.

    """
    filled = remediation_pb2.Remediation()
    filled.CopyFrom(blank)
    kind, order, entity = kind_of(filled), _open(filled), evidence.WhichOneof("entity")
    if kind.plane == "device":
        order.device = device
    if kind.name in _OF_FILES:
        order.file.CopyFrom(_file(evidence))
    elif entity == "url":
        order.pattern = block_pattern.of_url(evidence.url.url, refuse_suffixes=refuse_suffixes)
    elif entity == "message":
        order.messages.messages.messages.append(evidence.message)
    elif entity == "cluster":
        order.messages.cluster.CopyFrom(evidence.cluster)
    elif entity == "attachment":
        order.sha256 = evidence.attachment.sha256
        order.messages.CopyFrom(_carriers(evidence.attachment))
    elif entity == "mailbox":
        order.mailbox = evidence.mailbox.mailbox
    return filled


def _open(remediation: remediation_pb2.Remediation) -> Any:  # noqa: ANN401 - each kind has its own fields
    return order_of(remediation)


def _file(evidence: evidence_pb2.Evidence) -> target_pb2.FileSelector:
    file = evidence.process.image if evidence.WhichOneof("entity") == "process" else evidence.file
    if not (file.sha256 or file.sha1 or file.path):
        raise TargetRefusedError("Neither the file's content nor its path is known.")
    if file.path and (not file.path.startswith("/") or file.path == "/"):
        raise TargetRefusedError("The file's path is not an absolute one.")
    return target_pb2.FileSelector(sha256=file.sha256, sha1=file.sha1, path=file.path)


def _carriers(attachment: evidence_pb2.AttachmentEvidence) -> target_pb2.MessageSelector:
    if attachment.HasField("messages"):
        return attachment.messages
    return target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(attachment_sha256=attachment.sha256))
