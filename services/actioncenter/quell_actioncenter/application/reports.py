"""What comes up from an executor, a message at a time: each message is one transaction, and acknowledged after it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from google.protobuf.message import DecodeError
from quell.executor.v1 import executor_service_pb2, progress_pb2, target_report_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, seal_pb2

from quell_actioncenter.application import answers, history, register
from quell_actioncenter.application.answers import MOST_CHUNKS, Executor
from quell_actioncenter.application.book import Book, Note, touched
from quell_actioncenter.application.desk import Desk, Place
from quell_actioncenter.application.knowledge import GONE
from quell_actioncenter.domain.lifecycle import Event, State, WrongStateError
from quell_actioncenter.domain.records import OUTCOMES, HostRecord, ItemChunkRecord, TargetRecord, chunk_name
from quell_actioncenter.signing.proofs import enrolled, opened
from quell_actioncenter.store.tables import ACTIONS, EFFECTS, HOSTS, ITEM_CHUNKS, TARGETS
from quell_runtime import times
from quell_runtime.kinds import device_of, kind_of
from quell_runtime.sealing import SealInvalidError

_log = structlog.get_logger()
READ_AHEAD = 16
"""Chunks of items that are read with a receipt before it is known to hold."""
MOST_CHUNK_BYTES = 120_000
MOST_HOSTS = 100
"""Host names that are kept of one device; further ones are not believed."""
SENSELESS = (ValueError, ArithmeticError, LookupError, AssertionError, WrongStateError)
"""What sealed words that make no sense end in. They must not end the stream, by which they would only come again."""
T = TypeVar("T")
BANNED = target_report_pb2.TARGET_STATE_BANNED


class Reports:
    """Handles what one executor reports. Each method returns the ids that are stored by then."""

    def __init__(self, desk: Desk, executor: Executor) -> None:
        """Handle what this executor says."""
        self._desk = desk
        self._executor = executor

    async def receipts(self, sealed: Sequence[seal_pb2.Sealed]) -> list[str]:
        """Take receipts; what can't even be read is dropped, since nobody could be told that it is stored."""
        found = [(receipt, one) for one in sealed if (receipt := answers.read(one)) and receipt.id]
        told = {receipt.id: one for receipt, one in found}
        receipts = [receipt for receipt, _ in found]

        def take(book: Book, taken: Sequence[seal_pb2.Sealed]) -> None:
            _expect(book, receipts)
            for one in taken:
                answers.take(book, self._desk.in_force, one, self._executor)

        def shun(book: Book, one: seal_pb2.Sealed) -> None:
            answers.orphan(book, one, self._executor)

        await self._sensible(list(told.values()), take, shun, _places(receipts))
        return list(told)

    async def _sensible(
        self,
        words: Sequence[T],
        take: Callable[[Book, Sequence[T]], None],
        shun: Callable[[Book, T], None],
        places: Sequence[Place] = (),
    ) -> None:
        """Take all at once; if one makes no sense, each by itself, and shun that one."""
        try:
            await self._desk.decide(lambda book: take(book, words), places, urgent=True)
        except SENSELESS:
            if len(words) > 1:
                for one in words:
                    await self._sensible([one], take, shun)
                return
            _log.exception("report_makes_no_sense", plane=self._executor.plane)
            await self._desk.decide(lambda book: shun(book, words[0]), urgent=True)

    async def items(self, chunks: Sequence[executor_service_pb2.ItemChunk]) -> list[str]:
        """Keep outcomes of items, unless the receipt that they belong to is here already."""

        def work(book: Book) -> None:
            for chunk in chunks:
                record = book.action(chunk.action)
                small = chunk.index < MOST_CHUNKS and len(chunk.body) <= MOST_CHUNK_BYTES
                if record is not None and record.plane == self._executor.plane and not record.receipts and small:
                    name = chunk_name(chunk.action, OUTCOMES, chunk.index)
                    book.view.put(ITEM_CHUNKS, ItemChunkRecord(name, chunk.action, OUTCOMES, chunk.index, chunk.body))

        await self._desk.decide(work, [(ACTIONS, chunk.action) for chunk in chunks], urgent=True)
        return [chunk.id for chunk in chunks if answers.is_id(chunk.id)]

    async def running(self, reports: Sequence[progress_pb2.Progress]) -> None:
        """Note which actions have begun."""

        def work(book: Book) -> None:
            names = [report.action for report in reports]
            book.expect(names)
            for record in filter(None, map(book.action, names)):
                if record.state == State.DISPATCHED:
                    book.move(record, Event.PLAN_JOURNALED, Note(record.device or self._executor.plane))

        await self._desk.decide(work, urgent=True)

    async def effects(self, sealed: Sequence[seal_pb2.Sealed]) -> list[str]:
        """Take what happened to effects after their receipts."""
        told = [(report, one) for one in sealed if (report := _effect_report(one))]

        def take(book: Book, taken: Sequence[tuple[effect_report_pb2.EffectReport, seal_pb2.Sealed]]) -> None:
            names = [report.action for report, _ in taken if report.action]
            book.expect(names)
            book.view.expect((EFFECTS, register.name_of(name)) for name in names)
            for report, one in taken:
                self._effect(book, report, one)

        await self._sensible(told, take, lambda book, one: self._orphan(book, *one))
        return [report.id for report, _ in told]

    def _effect(self, book: Book, report: effect_report_pb2.EffectReport, sealed: seal_pb2.Sealed) -> None:
        record = book.action(report.action) if report.action else None
        if record is not None:
            plane, device = record.plane, record.device
        elif report.HasField("inherited"):
            plane, device = kind_of(report.inherited).plane, device_of(report.inherited)
        else:
            plane, device = "", ""
        note = Note(device or self._executor.plane, sealed=sealed)
        if not self._proven(book, plane, device, sealed):
            self._orphan(book, report, sealed)
        elif record is None:
            register.inherited(book, report)
            history.append(book.view, book.now, note.actor, "effect_inherited", device, sealed)
        else:
            register.take_report(book, record, report, note)

    def _orphan(self, book: Book, report: effect_report_pb2.EffectReport, sealed: seal_pb2.Sealed) -> None:
        if not self._executor.orphans.keeps(report.id, sealed):
            return
        known = bool(report.action) and book.action(report.action) is not None
        resource = report.action if known else self._executor.plane
        history.append(book.view, book.now, self._executor.plane, "effect_report_orphaned", resource, sealed)

    def _proven(self, book: Book, plane: str, device: str, sealed: seal_pb2.Sealed) -> bool:
        key = answers.key_of(book, plane, device, self._executor)
        try:
            return key is not None and bool(opened(sealed, effect_report_pb2.EffectReport, key))
        except SealInvalidError:
            return False

    async def targets(self, reports: Sequence[target_report_pb2.TargetReport]) -> dict[str, int]:
        """Take how targets are, and return the state of each as it is kept now.

        A report without the device's own proof of its key is dropped, and said so in the log.
        """
        proven = [report for report in reports if self._is_proven(report)]

        def work(book: Book) -> dict[str, int]:
            book.view.expect((TARGETS, report.target) for report in proven)
            book.view.expect((HOSTS, report.host_name.lower()) for report in proven if report.host_name)
            for report in proven:
                _target(book, report, self._executor.plane)
            return {report.target: book.view.need(TARGETS, report.target).state for report in proven}

        return await self._desk.decide(work, urgent=True)

    def _is_proven(self, report: target_report_pb2.TargetReport) -> bool:
        try:
            holds = self._executor.plane == "device" and enrolled(report.enrolment).device == report.target
        except SealInvalidError:
            holds = False
        holds = holds and not times.impossible(report)
        if not holds:
            _log.warning("target_unproven", target=report.target)
        return holds


def _names(found: Sequence[receipt_pb2.Receipt]) -> set[str]:
    return {name for one in found for name in (one.action, one.superseded_by, *one.takes_over) if name}


def _places(found: Sequence[receipt_pb2.Receipt]) -> list[Place]:
    """Return what receipts are known to touch."""
    names = _names(found)
    # A hint only, since nothing of it is believed yet: who claims more has them read once the receipt is proven.
    counts = {one.action: min(one.item_chunks, READ_AHEAD) for one in found}
    chunks = [chunk_name(name, OUTCOMES, index) for name, count in counts.items() for index in range(count)]
    effects = [(EFFECTS, register.name_of(name)) for name in names]
    return [*touched(names), *effects, *((ITEM_CHUNKS, name) for name in chunks)]


def _expect(book: Book, found: Sequence[receipt_pb2.Receipt]) -> None:
    """Have everything read that receipts touch, in few trips."""
    names = _names(found)
    book.expect(names)
    records = [record for name in names if (record := book.action(name))]
    others = {name for one in records for name in (one.action.undo_of, *one.supersedes) if name}
    book.expect(others)
    devices = [(TARGETS, record.device) for record in records if record.device]
    book.view.expect([*devices, *((EFFECTS, register.name_of(name)) for name in others)])


def _target(book: Book, report: target_report_pb2.TargetReport, actor: str) -> None:
    """Keep the newest of a target; what is banned or offboarded stays so."""
    known = book.view.get(TARGETS, report.target)
    if known is not None and known.state in GONE:
        return
    host = report.host_name.lower()
    hosts = known.host_names if known else ()
    if host and host not in hosts and len(hosts) < MOST_HOSTS:
        hosts = (*hosts, host)
        claimed = book.view.get(HOSTS, host)
        book.view.put(HOSTS, HostRecord(host, (*(claimed.devices if claimed else ()), report.target)))
    record = TargetRecord(
        name=report.target,
        report=report,
        state=report.state,
        identity_key=enrolled(report.enrolment).identity_key,
        host_names=hosts,
        kinds=tuple(kind.name for kind in report.kinds if not kind.missing),
    )
    book.view.put(TARGETS, record)
    if known is None:
        history.append(book.view, book.now, actor, "target_enrolled", report.target, report.enrolment)
    if report.state in GONE:
        event = "target_banned" if report.state == BANNED else "target_offboarded"
        history.append(book.view, book.now, actor, event, report.target)


def _effect_report(sealed: seal_pb2.Sealed) -> effect_report_pb2.EffectReport | None:
    try:
        found = effect_report_pb2.EffectReport.FromString(sealed.body)
    except DecodeError:
        return None
    return found if answers.is_id(found.id) and not times.impossible(found) else None
