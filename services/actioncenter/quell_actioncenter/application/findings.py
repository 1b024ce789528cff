"""What a scan has found becomes evidence of its investigation, if its order asks for that: the policy decides anew."""

import uuid
from collections.abc import Iterable, Iterator

import protovalidate
from google.protobuf.message import DecodeError
from quell.actioncenter.v1 import investigation_service_pb2
from quell.remediation.v1 import evidence_pb2, item_pb2, verdict_pb2

from quell_actioncenter.application import history
from quell_actioncenter.application.births import InForce
from quell_actioncenter.application.book import Book
from quell_actioncenter.application.evidence import Judged, Reading, name_of
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import EVIDENCE, INVESTIGATIONS
from quell_runtime.kinds import order_of

FOUND = uuid.UUID("5f7d4f0a-2b68-5b7e-9d3c-6c1f1f2d9a04")
"""Namespace of the ids of such evidence: the same file found again by the same action is the same evidence."""
MOST = 1000
"""Files of one receipt that become evidence; further ones are among the action's items alone."""


def wanted(record: ActionRecord) -> bool:
    """Tell whether what an action finds is to be evidence."""
    return bool(getattr(order_of(record.action.remediation), "findings_as_evidence", False))


def take(book: Book, in_force: InForce, record: ActionRecord, chunks: Iterable[bytes]) -> None:
    """Add what the chunks of items tell to the investigation; what is known there already is left as it is."""
    investigation = book.view.get(INVESTIGATIONS, record.investigation) if record.investigation else None
    if investigation is None or investigation.terminated:
        return
    evidence = _evidence(record, chunks)
    book.view.expect((EVIDENCE, name_of(investigation.name, one)) for one in evidence)
    # A detector may have used the id for something else: that is its own.
    new = [one for one in evidence if book.view.get(EVIDENCE, name_of(investigation.name, one)) is None]
    if new:
        Reading(book, in_force, investigation, Judged()).take(new)
        detail = investigation_service_pb2.AddEvidenceRequest(name=investigation.name, evidence=new)
        history.append(book.view, book.now, record.name, "evidence_added", investigation.name, detail)


def _evidence(record: ActionRecord, chunks: Iterable[bytes]) -> list[evidence_pb2.Evidence]:
    """Return the evidence of each file, once, however many signatures it fits; what makes no sense is left out."""
    found: dict[str, evidence_pb2.Evidence] = {}
    for finding in _findings(chunks):
        told = f"{record.name}\0{finding.file.path}\0{finding.file.sha256}"
        one = evidence_pb2.Evidence(
            id=f"found-{uuid.uuid5(FOUND, told)}",
            verdict=verdict_pb2.VERDICT_MALICIOUS,
            device=record.device,
            file=evidence_pb2.FileEvidence(path=finding.file.path, sha256=finding.file.sha256),
        )
        if (finding.file.path or finding.file.sha256) and not protovalidate.collect_violations(one):
            found[one.id] = one
        if len(found) == MOST:
            break
    return list(found.values())


def _findings(chunks: Iterable[bytes]) -> Iterator[item_pb2.FindingItem]:
    for body in chunks:
        try:
            outcomes = item_pb2.ItemOutcomes.FromString(body).outcomes
        except DecodeError:
            continue
        for one in outcomes:
            if one.item.HasField("finding") and one.state == item_pb2.ITEM_STATE_DONE:
                yield one.item.finding
