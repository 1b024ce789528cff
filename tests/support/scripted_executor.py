"""An executor that does what a test says, over a link in memory that serialises; its seals are real."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from quell.executor.v1 import executor_service_pb2, plan_pb2, target_report_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, enrolment_pb2, preview_pb2, receipt_pb2, seal_pb2, warrant_pb2

from quell_actioncenter.domain.ports import LinkLostError
from quell_actioncenter.signing.proofs import device_of_key
from quell_runtime.kinds import kinds
from quell_runtime.sealing import SealKey
from quell_runtime.seams import Clock, Rng, new_uuid, stamp

Up = executor_service_pb2.WorkResponse
Answer = Callable[[warrant_pb2.Warrant], receipt_pb2.Receipt | None]
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


@dataclass
class MemoryLink:
    """One stream; what is sent is serialised on the way."""

    executor: "ScriptedExecutor"
    up: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)
    broken: bool = False

    async def send(self, request: executor_service_pb2.WorkRequest) -> None:
        """Hand a message down."""
        if self.broken:
            raise LinkLostError("broken")
        await asyncio.sleep(0)
        await self.executor.hear(self, executor_service_pb2.WorkRequest.FromString(request.SerializeToString()))

    async def received(self) -> AsyncIterator[Up]:
        """Yield what comes up."""
        while (raw := await self.up.get()) is not None:
            yield Up.FromString(raw)

    async def close(self) -> None:
        """End it."""
        self.broken = True


class ScriptedExecutor:
    """Answers each warrant by `answer`; None: not now."""

    def __init__(self, clock: Clock, rng: Rng, plane: str = "email", answer: Answer | None = None) -> None:
        """Offer every kind of the plane, and carry out whatever comes."""
        self._clock = clock
        self._rng = rng
        self.plane = plane
        self.key = SealKey(hashlib.sha256(plane.encode()).digest())
        self.answer = answer or self.carried_out
        self.plan = plan_pb2.PlanAnswer(summary=plan_pb2.PlanSummary(basis=preview_pb2.BASIS_SEEN, item_count=1))
        self.kinds = [kind.name for kind in kinds().values() if kind.plane == plane]
        self.window = 0
        self.link: MemoryLink | None = None
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.heard: list[executor_service_pb2.WorkRequest] = []
        self.warrants: list[warrant_pb2.Warrant] = []
        self.bodies: list[bytes] = []
        self.stored: set[str] = set()
        self.cancels: list[str] = []

    async def dial(self) -> MemoryLink:
        """Open a stream, once it can be reached."""
        await self.reachable.wait()
        self.link = MemoryLink(self)
        return self.link

    def vanish(self) -> None:
        """Break the stream, and let no other be opened."""
        self.reachable.clear()
        if self.link:
            self.link.broken = True
            self.link.up.put_nowait(None)
        self.link = None

    def say(self, response: Up) -> None:
        """Send a message up, if there is a stream."""
        if self.link:
            self.link.up.put_nowait(response.SerializeToString())

    async def hear(self, link: MemoryLink, request: executor_service_pb2.WorkRequest) -> None:
        """Take a message."""
        self.heard.append(request)
        match request.WhichOneof("message"):
            case "hello":
                offered = [target_report_pb2.Kind(name=name) for name in self.kinds]
                hello = executor_service_pb2.ExecutorHello(
                    version=1, identity_key=self.key.public, kinds=offered, window=self.window
                )
                link.up.put_nowait(Up(hello=hello).SerializeToString())
            case "warrants":
                for sealed in request.warrants.warrants:
                    self._take(sealed)
            case "plan":
                answer = plan_pb2.PlanAnswer()
                answer.CopyFrom(self.plan)
                answer.id = request.plan.id
                self.say(Up(plan=answer))
            case "stored":
                self.stored.update(request.stored.ids)
            case "cancels":
                self.cancels.extend(request.cancels.actions)

    def _take(self, sealed: seal_pb2.Sealed) -> None:
        warrant = warrant_pb2.Warrant.FromString(sealed.body)
        self.warrants.append(warrant)
        self.bodies.append(sealed.body)
        receipt = self.answer(warrant)
        if receipt is not None:
            receipt.warrant_digest = hashlib.sha256(sealed.body).digest()
            self.send_receipts(receipt)

    def carried_out(
        self, warrant: warrant_pb2.Warrant, effect: outcome_pb2.EffectState.ValueType = IN_FORCE
    ) -> receipt_pb2.Receipt:
        """Return the receipt of a warrant that was carried out and found so."""
        now = stamp(self._clock.now())
        outcome = outcome_pb2.Outcome(
            effect=effect,
            items=outcome_pb2.ItemCounts(total_items=1, done_items=1),
            undo=outcome_pb2.UNDO_STATE_UNSPECIFIED if warrant.undo_of else outcome_pb2.UNDO_STATE_POSSIBLE,
            start_time=now,
            end_time=now,
        )
        return receipt_pb2.Receipt(
            id=new_uuid(self._rng),
            action=warrant.action,
            disposition=receipt_pb2.DISPOSITION_CARRIED_OUT,
            outcome=outcome,
            time=now,
        )

    def send_receipts(self, *receipts: receipt_pb2.Receipt, key: SealKey | None = None) -> None:
        """Seal and send receipts."""
        name = receipt_pb2.Receipt.DESCRIPTOR.full_name
        sealed = (key or self.key).seal(name, [receipt.SerializeToString() for receipt in receipts])
        self.say(Up(receipts=executor_service_pb2.Receipts(receipts=sealed)))

    def send_effect(self, report: effect_report_pb2.EffectReport, key: SealKey | None = None) -> None:
        """Seal and send an effect report."""
        sealed = (key or self.key).seal(report.DESCRIPTOR.full_name, [report.SerializeToString()])
        self.say(Up(effects=executor_service_pb2.EffectReports(reports=sealed)))

    def send_target(self, key: SealKey, state: int, host_name: str = "", tags: Sequence[str] = ()) -> str:
        """Report a device with this identity key, and return its name."""
        device = device_of_key(key.public)
        now = stamp(self._clock.now())
        enrolment = enrolment_pb2.Enrolment(
            device=device, identity_key=key.public, token_digest=bytes(32), time=stamp(self._clock.now())
        )
        report = target_report_pb2.TargetReport(
            id=new_uuid(self._rng),
            target=device,
            enrolment=key.seal(enrolment.DESCRIPTOR.full_name, [enrolment.SerializeToString()])[0],
            state=target_report_pb2.TargetState.ValueType(state),
            host_name=host_name,
            kinds=[target_report_pb2.Kind(name=name) for name in self.kinds],
            last_seen_time=now,
            tags=tags,
        )
        self.say(Up(targets=executor_service_pb2.TargetReports(reports=[report])))
        return device
