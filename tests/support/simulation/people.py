"""People and detectors: what they ask for, at random, and again until they have an answer."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf.message import Message
from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    control_service_pb2,
    investigation_pb2,
    investigation_service_pb2,
)
from quell.remediation.v1 import device_pb2, email_pb2, evidence_pb2, remediation_pb2, target_pb2, verdict_pb2

from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.center import Center
from quell_actioncenter.domain.lifecycle import DECIDED, ENDED, RETRYABLE, SENT, UNDECIDED, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, FREEZES
from quell_runtime.errors import CommitUnknownError, QuellError
from quell_runtime.kinds import is_cluster
from quell_runtime.roles import ROLES
from quell_runtime.seams import stamp
from simulation.house import Simulation
from simulation.life import Crash
from simulation.world import digest

M = TypeVar("M", bound=Message)
Method = Callable[[Center, Any, Actor], Coroutine[Any, Any, Message]]
BOTH = ROLES["responder"] | ROLES["approver"]
DETECTOR = Actor("xdr", frozenset())
PEOPLE = [Actor(name, BOTH) for name in ("ann", "bob", "eve")]
ADMIN = Actor("root", ROLES["admin"])
URLS = ("https://evil.example/login", "https://bad.example/x")
PATHS, CONTENTS = ("/a", "/b", "/c", "/d"), ("bad", "worse")
VERDICTS = (verdict_pb2.VERDICT_MALICIOUS, verdict_pb2.VERDICT_MALICIOUS, verdict_pb2.VERDICT_SUSPICIOUS)


class People:
    """All of them, with one chance."""

    def __init__(self, simulation: Simulation) -> None:
        """Know the house from outside."""
        self.simulation = simulation
        self.chance = simulation.chance("people")
        self.waiting: list[asyncio.Task[None]] = []
        self._investigations: list[tuple[str, list[evidence_pb2.Evidence]]] = []
        self._network = simulation.chance("answers")

    def act(self) -> None:
        """Have somebody do something."""
        deeds = [
            (self.submit, 4),
            (self.change_evidence, 1),
            (self.create, 5),
            (self.contradict, 4),
            (self.approve, 8),
            (self.reject, 1),
            (self.cancel, 2),
            (self.undo, 5),
            (self.retry, 1),
            (self.freeze, 1),
            (self.unfreeze, 2),
            (self.write_off, 0.2),
        ]
        (deed,) = self.chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
        work = deed()
        if work is not None:
            self.waiting.append(asyncio.create_task(work))

    async def ask(self, method: Method, request: M, actor: Actor, told: Callable[[Any], None]) -> None:
        """Ask until there is an answer, and hand it on; a refusal is one."""
        for _ in range(200):
            await asyncio.sleep(self._network.random())
            life = self.simulation.center.serves
            if life is None or self.simulation.center.center is None:
                await asyncio.sleep(10 * self._network.random())
                continue
            sent = type(request).FromString(request.SerializeToString())
            asked = life.spawn(method(self.simulation.center.center, sent, actor))
            over = asyncio.create_task(life.over.wait())
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if not asked.done() or asked.cancelled() or isinstance(asked.exception(), Crash | CommitUnknownError):
                continue
            if self._network.random() < 0.1 and self.simulation.storm:
                continue
            self._answered(asked, request, told)
            return

    def _answered(self, asked: "asyncio.Task[Any]", request: Message, told: Callable[[Any], None]) -> None:
        error = asked.exception()
        if error is None:
            told(asked.result())
        elif not isinstance(error, QuellError):
            self.simulation.violated(0, f"{type(request).__name__} raised {error!r}")
        else:
            self.simulation.note(f"{type(request).__name__} is refused: {error}")

    def _new(self) -> str:
        return str(uuid.UUID(bytes=self.chance.randbytes(16), version=4))

    def _born(self, action: action_pb2.Action) -> None:
        self.simulation.oracle.acknowledged(action.name)

    def _actions(self, fits: Callable[[ActionRecord], bool]) -> list[ActionRecord]:
        found = self.simulation.oracle.mirror.of(ACTIONS).values()
        return sorted(filter(fits, found), key=lambda record: record.name)

    def _some(self, fits: Callable[[ActionRecord], bool]) -> ActionRecord | None:
        found = self._actions(fits)
        return self.chance.choice(found) if found else None

    def submit(self) -> Coroutine[Any, Any, None]:
        """Submit an investigation."""
        evidence = [self._evidence(number) for number in range(self.chance.randint(1, 3))]
        request = investigation_service_pb2.SubmitInvestigationRequest(
            investigation_id=self._new(),
            investigation=investigation_pb2.Investigation(title="simulated"),
            evidence=evidence,
            complete=self.chance.random() < 0.7,
        )
        self._investigations.append((f"investigations/xdr.{request.investigation_id}", evidence))
        return self.ask(lambda center, sent, who: center.investigations.submit(sent, who), request, DETECTOR, _nothing)

    def _evidence(self, number: int) -> evidence_pb2.Evidence:
        found = evidence_pb2.Evidence(id=f"e{number}", verdict=self.chance.choice(VERDICTS))
        match self.chance.randint(0, 3):
            case 0:
                found.url.url = self.chance.choice(URLS)
            case 1:
                found.cluster.subject = "prize"
            case _:
                found.device = self.chance.choice(self.simulation.router.agents).device
                found.file.sha256 = digest(self.chance.choice(CONTENTS))
                if self.chance.random() < 0.5:
                    found.file.path = self.chance.choice(PATHS)
        return found

    def change_evidence(self) -> Coroutine[Any, Any, None] | None:
        """Let a verdict fall or rise."""
        if not self._investigations:
            return None
        name, evidence = self.chance.choice(self._investigations)
        one = self.chance.choice(evidence)
        one.revision += 1
        one.verdict = self.chance.choice((*VERDICTS, verdict_pb2.VERDICT_NO_THREATS_FOUND))
        request = investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[one])
        return self.ask(
            lambda center, sent, who: center.investigations.add_evidence(sent, who), request, DETECTOR, _nothing
        )

    def create(self) -> Coroutine[Any, Any, None]:
        """Ask for an action by hand."""
        remediation, lasts = self._remediation()
        request = action_service_pb2.CreateActionRequest(
            action_id=self._new(), remediation=remediation, comment="simulated"
        )
        if lasts and self.chance.random() < 0.6:
            minutes = self.chance.choice((30, 120, 24 * 60))
            request.revert_time.CopyFrom(stamp(self.simulation.lapse.now() + timedelta(minutes=minutes)))
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.create(sent, who), request, who, self._born)

    def contradict(self) -> Coroutine[Any, Any, None] | None:
        """Let go of what is being done, or waits to be: it overtakes."""
        record = self._some(lambda record: State(record.state) in (*DECIDED, *SENT) and record.kind in LET_GO_BY)
        if record is None:
            return None
        request = action_service_pb2.CreateActionRequest(
            action_id=self._new(), remediation=LET_GO_BY[record.kind](record.action.remediation), comment="simulated"
        )
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.create(sent, who), request, who, self._born)

    def _remediation(self) -> tuple[remediation_pb2.Remediation, bool]:  # noqa: PLR0911 - one for each kind
        device = self.chance.choice(self.simulation.router.agents).device
        taken = self._some(lambda record: record.kind in ("stop_and_quarantine", "soft_delete_messages"))
        match self.chance.randint(0, 9):
            case 0 | 1:
                block = email_pb2.BlockUrl(pattern=self.chance.choice(URLS))
                return remediation_pb2.Remediation(block_url=block), True
            case 2:
                unblock = email_pb2.UnblockUrl(pattern=self.chance.choice(URLS))
                return remediation_pb2.Remediation(unblock_url=unblock), False
            case 3 | 4:
                return remediation_pb2.Remediation(
                    isolate_device=isolation(device, hold=self.chance.random() < 0.5)
                ), True
            case 5:
                join = device_pb2.ReleaseDeviceFromIsolation(device=device)
                return remediation_pb2.Remediation(release_device_from_isolation=join), False
            case 6:
                scan = device_pb2.RunAntivirusScan(device=device, quick=device_pb2.QuickScan())
                return remediation_pb2.Remediation(run_antivirus_scan=scan), False
            case 7 if taken:
                return self._release(taken), False
            case 8:
                cluster = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(subject="prize"))
                delete = email_pb2.SoftDeleteMessages(messages=cluster)
                return remediation_pb2.Remediation(soft_delete_messages=delete), True
        return remediation_pb2.Remediation(stop_and_quarantine=self._quarantine(device)), True

    def _quarantine(self, device: str) -> device_pb2.StopAndQuarantine:
        selector = target_pb2.FileSelector(path=self.chance.choice(PATHS))
        if self.chance.random() < 0.6:
            selector = target_pb2.FileSelector(sha256=digest(self.chance.choice(CONTENTS)))
        return device_pb2.StopAndQuarantine(device=device, file=selector)

    def _release(self, taken: ActionRecord) -> remediation_pb2.Remediation:
        if taken.kind == "soft_delete_messages":
            return remediation_pb2.Remediation(restore_messages=email_pb2.RestoreMessages(action=taken.name))
        release = device_pb2.ReleaseFromQuarantine(device=taken.device)
        if self.chance.random() < 0.5:
            release.action = taken.name
        else:
            release.sha256 = digest(self.chance.choice(CONTENTS))
        return remediation_pb2.Remediation(release_from_quarantine=release)

    def approve(self) -> Coroutine[Any, Any, None] | None:
        """Approve what waits, having seen it."""
        record = self._some(lambda record: State(record.state) in UNDECIDED)
        return None if record is None else self._approve(record, self._new(), self.chance.choice(PEOPLE))

    async def _approve(self, record: ActionRecord, vote_id: str, who: Actor) -> None:
        request = action_service_pb2.ApproveActionRequest(name=record.name, vote_id=vote_id, comment="yes")
        if is_cluster(record.action.remediation) and not record.action.undo_of:
            shown: list[str] = []
            look = action_service_pb2.PreviewActionRequest(name=record.name)
            await self.ask(
                lambda center, sent, who: center.actions.preview(sent, who),
                look,
                who,
                lambda answer: shown.append(answer.preview_digest),
            )
            if not shown:
                return
            request.preview_digest = shown[0]
        else:
            request.etag = record.action.etag

        def told(action: action_pb2.Action) -> None:
            self.simulation.note(f"the vote {vote_id} of {who.name} on {action.name} is acknowledged")
            self.simulation.oracle.acknowledged(action.name, vote_id)

        await self.ask(lambda center, sent, who: center.actions.approve(sent, who), request, who, told)

    def reject(self) -> Coroutine[Any, Any, None] | None:
        """Reject what waits."""
        record = self._some(lambda record: State(record.state) in UNDECIDED)
        if record is None:
            return None
        request = action_service_pb2.RejectActionRequest(
            name=record.name, vote_id=self._new(), comment="no", etag=record.action.etag
        )
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.reject(sent, who), request, who, _nothing)

    def cancel(self) -> Coroutine[Any, Any, None] | None:
        """Call off what has not ended."""
        record = self._some(lambda record: State(record.state) not in ENDED)
        if record is None:
            return None
        request = action_service_pb2.CancelActionRequest(name=record.name, comment="off")
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.cancel(sent, who), request, who, _nothing)

    def undo(self) -> Coroutine[Any, Any, None] | None:
        """Take back what was done."""
        record = self._some(lambda record: record.action.outcome.undo > 0 and not record.action.undo_of)
        if record is None:
            return None
        request = action_service_pb2.UndoActionRequest(name=record.name, undo_id=self._new(), comment="back")
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.undo(sent, who), request, who, self._born)

    def retry(self) -> Coroutine[Any, Any, None] | None:
        """Ask once more for what failed."""
        record = self._some(lambda record: State(record.state) in RETRYABLE)
        if record is None:
            return None
        request = action_service_pb2.RetryActionRequest(name=record.name, retry_id=self._new(), comment="again")
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.actions.retry(sent, who), request, who, self._born)

    def write_off(self) -> Coroutine[Any, Any, None] | None:
        """Give a target up."""
        record = self._some(lambda record: State(record.state) in (State.DISPATCHED, State.RUNNING))
        if record is None:
            return None
        request = action_service_pb2.WriteOffActionRequest(name=record.name, comment="lost")
        return self.ask(lambda center, sent, who: center.actions.write_off(sent, who), request, ADMIN, _nothing)

    def freeze(self) -> Coroutine[Any, Any, None]:
        """Stop everything, or some."""
        kinds = self.chance.choice(([], ["isolate_device"], ["block_url", "stop_and_quarantine"]))
        request = control_service_pb2.FreezeRequest(freeze_id=self._new(), kinds=kinds, comment="stop")
        who = self.chance.choice(PEOPLE)
        return self.ask(lambda center, sent, who: center.controls.freeze(sent, who), request, who, _nothing)

    def unfreeze(self) -> Coroutine[Any, Any, None] | None:
        """Vote to go on; two are needed."""
        found = self.simulation.oracle.mirror.of(FREEZES).values()
        status = next((record.status for record in found), None)
        if status is None or not status.frozen:
            return None
        return self._unfreeze(status.epoch, [self._new(), self._new()])

    async def _unfreeze(self, epoch: int, ids: list[str]) -> None:
        for who, vote_id in zip(PEOPLE, ids, strict=False):
            request = control_service_pb2.UnfreezeRequest(vote_id=vote_id, epoch=epoch, comment="go on")
            await self.ask(lambda center, sent, who: center.controls.unfreeze(sent, who), request, who, _nothing)


def unblock(done: remediation_pb2.Remediation) -> remediation_pb2.Remediation:
    """Order a URL unblocked."""
    return remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern=done.block_url.pattern))


def join(done: remediation_pb2.Remediation) -> remediation_pb2.Remediation:
    """Order the end of an isolation."""
    release = device_pb2.ReleaseDeviceFromIsolation(device=done.isolate_device.device)
    return remediation_pb2.Remediation(release_device_from_isolation=release)


def give_back(done: remediation_pb2.Remediation) -> remediation_pb2.Remediation:
    """Order files back, by their content."""
    order = done.stop_and_quarantine
    release = device_pb2.ReleaseFromQuarantine(device=order.device, sha256=order.file.sha256 or digest(CONTENTS[0]))
    return remediation_pb2.Remediation(release_from_quarantine=release)


LET_GO_BY = {"block_url": unblock, "isolate_device": join, "stop_and_quarantine": give_back}


def isolation(device: str, *, hold: bool) -> device_pb2.IsolateDevice:
    """Order a device isolated."""
    return device_pb2.IsolateDevice(device=device, mode=device_pb2.ISOLATION_MODE_FULL, hold=hold)


def _nothing(_answer: object) -> None:
    """Take an answer that nothing follows from."""
