"""Investigations: what detection systems bring, and what ends them."""

from collections.abc import Callable, Sequence
from functools import partial

from quell.actioncenter.v1 import investigation_pb2, investigation_service_pb2
from quell.remediation.v1 import evidence_pb2

from quell_actioncenter.application import history
from quell_actioncenter.application.actor import Actor, digest
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.desk import Desk, Place
from quell_actioncenter.application.evidence import Judged, Reading, Taken, places
from quell_actioncenter.domain.errors import (
    EvidenceUnknownError,
    FeedbackIdTakenError,
    InvestigationEndedError,
    InvestigationIdTakenError,
    InvestigationUnknownError,
)
from quell_actioncenter.domain.investigation import InvestigationState
from quell_actioncenter.domain.lifecycle import UNSENT, Event, State
from quell_actioncenter.domain.records import InvestigationRecord, RequestRecord
from quell_actioncenter.store.tables import EVIDENCE, INVESTIGATIONS, REQUESTS
from quell_runtime.seams import stamp
from quell_runtime.store import Query, replace

NUMBERS = tuple(map(int, UNSENT))
UNSENT_OF = (
    f"SELECT name FROM actions WHERE investigation = ? AND name > ? AND state IN {NUMBERS} ORDER BY name LIMIT 256"  # noqa: S608 - our own numbers
)


class Investigations:
    """The use cases of `InvestigationService`; reading is the API's, from the store."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk."""
        self._desk = desk

    async def submit(
        self, request: investigation_service_pb2.SubmitInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """Store an investigation with its first evidence and derive actions; `actor` is the detector.

        Raises:
            InvestigationIdTakenError: The id belongs to one with other content.
            EvidenceIdTakenError: Two of the evidence have one id and revision, and other content.

        """
        name = f"investigations/{actor.name}.{request.investigation_id}"
        content = digest(request)

        judged = Judged()

        def work(book: Book) -> str:
            known = book.view.get(INVESTIGATIONS, name)
            if known is not None and known.content != content:
                raise InvestigationIdTakenError(f"{name} has other content: use another id", name=name)
            if known is None:
                self._take(book, _open(book, name, request, content), request.evidence, judged)
            return name

        return await self._decided(work, places(name, request.evidence, self._desk.in_force))

    def _take(
        self, book: Book, record: InvestigationRecord, evidence: Sequence[evidence_pb2.Evidence], judged: Judged
    ) -> Taken:
        taken = Reading(book, self._desk.in_force, record, judged).take(evidence)
        if taken.stored:
            # Every revision is kept here, the tables have the highest.
            detail = investigation_service_pb2.AddEvidenceRequest(name=record.name, evidence=taken.stored)
            history.append(book.view, book.now, record.detector, "evidence_added", record.name, detail)
        return taken

    async def add_evidence(
        self, request: investigation_service_pb2.AddEvidenceRequest, actor: Actor
    ) -> investigation_service_pb2.AddEvidenceResponse:
        """Store one message of evidence and derive actions; the caller adds up the counts of its stream.

        Raises:
            InvestigationUnknownError: There is none of this detector.
            InvestigationEndedError: A person ended it.
            EvidenceIdTakenError: The id and revision belong to other content; nothing of the message is stored.

        """
        judged = Judged()

        def work(book: Book) -> investigation_service_pb2.AddEvidenceResponse:
            record = _own(book, request.name, actor)
            if record.terminated:
                raise _ended(record)
            taken = self._take(book, record, request.evidence, judged)
            return investigation_service_pb2.AddEvidenceResponse(
                added=taken.added, replaced=taken.replaced, unchanged=taken.unchanged
            )

        return await self._desk.decide(work, places(request.name, request.evidence, self._desk.in_force))

    async def complete(
        self, request: investigation_service_pb2.CompleteInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """Note that analysis is done.

        Raises:
            InvestigationUnknownError: There is none of this detector.
            InvestigationEndedError: It was terminated, or completed otherwise.

        """

        def work(book: Book) -> str:
            record = _own(book, request.name, actor)
            otherwise = record.investigation.analysis_failure != request.analysis_failure
            if record.terminated or (record.complete and otherwise):
                raise _ended(record)
            if not record.complete:
                shown = investigation_pb2.Investigation()
                shown.CopyFrom(record.investigation)
                shown.analysis_failure = request.analysis_failure
                book.view.put(INVESTIGATIONS, replace(record, investigation=shown, complete=True))
                history.append(book.view, book.now, actor.name, "investigation_completed", record.name, request)
                book.count(record.name, {})
            return record.name

        return await self._decided(work, [(INVESTIGATIONS, request.name)])

    async def terminate(
        self, request: investigation_service_pb2.TerminateInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """End it by hand: what was not sent is canceled, what was goes on to its end.

        Raises:
            InvestigationUnknownError: There is none.
            InvestigationEndedError: It has ended otherwise.

        """
        await self._desk.decide(
            lambda book: _terminate(book, request, actor), [(INVESTIGATIONS, request.name)], urgent=True
        )
        # From here on nothing new follows; what there is is called off in parts that others can come between.
        after, note = "", Note(actor.name, request.comment)
        while True:
            (rows,) = await self._desk.store.read([Query(UNSENT_OF, (request.name, after))])
            if not rows:
                return await self._shown(request.name)
            names = [str(row[0]) for row in rows]
            await self._desk.decide(partial(_call_off, names=names, note=note), urgent=True)
            after = names[-1]

    async def report_feedback(self, request: investigation_service_pb2.ReportFeedbackRequest, actor: Actor) -> None:
        """Note what a person thinks of a verdict; it stands in the audit log, where the detector reads it.

        Raises:
            EvidenceUnknownError: There is no such evidence.
            FeedbackIdTakenError: The id belongs to other feedback.

        """
        content = digest(request, actor.name)

        def work(book: Book) -> None:
            known = book.view.get(REQUESTS, request.feedback_id)
            if known is not None and known.content != content:
                raise FeedbackIdTakenError("the id belongs to other feedback: use a new one")
            if book.view.get(EVIDENCE, request.evidence) is None:
                raise EvidenceUnknownError(f"there is no {request.evidence}", name=request.evidence)
            if known is None:
                book.view.put(REQUESTS, RequestRecord(request.feedback_id, request.evidence, content))
                history.append(book.view, book.now, actor.name, "feedback_reported", request.evidence, request)

        await self._desk.decide(work, [(REQUESTS, request.feedback_id), (EVIDENCE, request.evidence)])

    async def _decided(self, work: Callable[[Book], str], reads: Sequence[Place]) -> investigation_pb2.Investigation:
        return await self._shown(await self._desk.decide(work, reads))

    async def _shown(self, name: str) -> investigation_pb2.Investigation:
        record = await self._desk.store.load(INVESTIGATIONS, name)
        assert record is not None, "it was decided on"  # noqa: S101 - investigations are never deleted
        return record.investigation


def _open(
    book: Book, name: str, request: investigation_service_pb2.SubmitInvestigationRequest, content: bytes
) -> InvestigationRecord:
    detector = name.removeprefix("investigations/").partition(".")[0]
    shown = investigation_pb2.Investigation(
        name=name,
        title=request.investigation.title,
        alerts=request.investigation.alerts,
        create_time=stamp(book.now),
    )
    history.append(book.view, book.now, detector, "investigation_submitted", name, shown)
    record = InvestigationRecord(
        name=name,
        investigation=shown,
        detector=detector,
        state=0,
        content=content,
        create_time=book.now,
        update_time=book.now,
        last_event=0,
        complete=request.complete,
    )
    book.view.put(INVESTIGATIONS, record)
    book.count(name, {})
    return record


def _own(book: Book, name: str, actor: Actor) -> InvestigationRecord:
    record = book.view.get(INVESTIGATIONS, name)
    if record is None or record.detector != actor.name:
        raise InvestigationUnknownError(f"there is no {name} of this detector", name=name)
    return record


def _ended(record: InvestigationRecord) -> InvestigationEndedError:
    state = InvestigationState(record.state).name
    return InvestigationEndedError(f"it is {state}, or was completed otherwise", state=state)


def _terminate(book: Book, request: investigation_service_pb2.TerminateInvestigationRequest, actor: Actor) -> None:
    record = book.view.get(INVESTIGATIONS, request.name)
    if record is None:
        raise InvestigationUnknownError(f"there is no {request.name}", name=request.name)
    if record.terminated:
        return
    if InvestigationState(record.state).ended:
        raise _ended(record)
    book.view.put(INVESTIGATIONS, replace(record, terminated=True))
    history.append(book.view, book.now, actor.name, "investigation_terminated", record.name, request)
    book.count(record.name, {})


def _call_off(book: Book, names: Sequence[str], note: Note) -> None:
    """Cancel what was not sent. An undo is no part of it: it takes back what was done, whatever becomes of the rest."""
    book.expect(names)
    for record in filter(None, map(book.action, names)):
        if State(record.state) in UNSENT and not record.action.undo_of:
            book.move(record, Event.CANCELED, note)
