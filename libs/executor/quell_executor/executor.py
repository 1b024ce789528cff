"""The executor: it turns warrants into receipts."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from google.protobuf.message import DecodeError
from quell.executor.v1 import executor_service_pb2, plan_pb2, progress_pb2
from quell.remediation.v1 import failure_pb2
from quell.warrant.v1 import key_set_pb2, seal_pb2, warrant_pb2

from quell_executor import changing, previews
from quell_executor.accesses import Accesses
from quell_executor.conversation import Conversations
from quell_executor.effect import Offers, Owned, RefusedError
from quell_executor.inheritance import Inheritance
from quell_executor.inspection import Inspection
from quell_executor.journal.arrivals import Arrival
from quell_executor.journal.endings import Ending, Journal
from quell_executor.journal.records import ORDERS, OUTGOING, PLANS, Begun, Order, Outgoing, Stage
from quell_executor.outcome import refused
from quell_executor.parts import decode
from quell_executor.pruning import Pruning
from quell_executor.resolving import Resolver
from quell_executor.reverts import Reverts
from quell_executor.run import Kit, Run
from quell_executor.session import Session
from quell_executor.settings import Seams, Settings
from quell_executor.standing import Standings
from quell_executor.transport import Transport
from quell_executor.warrant import Bench, VerifiedWarrant, digest_of, verify
from quell_runtime.kinds import kinds, order_of
from quell_runtime.sealing import SealKey
from quell_runtime.store import Change, Store

JOURNAL = "quell_executor.journal"
"""The package with the journal's migrations: `opened(folder, JOURNAL, name="journal")`."""
ACTION = re.compile("actions/[0-9a-f-]{36}")

log = structlog.get_logger()


class Executor:
    """Carries out warrants over a journal.

    `offers` are the kinds that it serves, by name: an `Effect`; a `Reader` where the contract says that the kind only
    reads; a `Release` where it says that it lets go (its inverse must be offered too).
    """

    def __init__(self, settings: Settings, key: SealKey, offers: Offers, store: Store, seams: Seams) -> None:
        """Take what it stands on; `key` is its identity key, `store` its journal. Nothing runs before `start`.

        Raises:
            ValueError: A release is offered without what it releases.

        """
        alone = [name for name in offers if kinds()[name].release and kinds()[name].inverse not in offers]
        if alone:
            raise ValueError(f"{', '.join(alone)}: a release needs its inverse")
        self._settings = settings
        self._key = key
        self._store = store
        self._journal = Journal(store, settings, seams)
        self._kit = Kit(settings, seams, offers, self._journal, Resolver(offers, self._journal), self._tell)
        self._bench = Bench(settings, key.key_id, frozenset(offers))
        self._reverts = Reverts(self._kit, self._spawn)
        self._standings = Standings(self._kit, self._spawn)
        self._inspection = Inspection(self._kit)
        self._center_start, self._anew = 0, True
        self._inheritance = Inheritance(self._kit)
        self._pruning = Pruning(self._journal, settings.keep, self._spawn)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._conversations = Conversations(settings, key, list(offers), self)
        self.accesses = Accesses(self._conversations, seams.rng)
        """Where it is told who takes what out of the executor's keeping."""
        self._unlisten: Callable[[], None] = store.listen(self._heard)

    @property
    def key_set(self) -> key_set_pb2.KeySet | None:
        """The centre's keys, as last heard."""
        return self._journal.key_set

    async def start(self) -> None:
        """Read the journal, recover what was under way, and go on."""
        await self._journal.load()
        await self._take_up()
        await self._reverts.load()
        self._spawn(self._reverts.run())
        await self._standings.load()
        self._spawn(self._inheritance.adopt())
        self._spawn(self._catch_up())

    async def _take_up(self) -> None:
        """Go on with what has not ended and is not under way."""
        open_orders = await self._store.select(ORDERS, "WHERE stage <> 'ended' ORDER BY sequence")
        # What was begun, and so has a plan, takes its locks first: whoever comes later waits for its end.
        for order in sorted(open_orders, key=lambda order: order.stage is not Stage.BEGUN):
            begun, now = await self._store.load(PLANS, order.action), await self._store.load(ORDERS, order.action)
            if now and now.stage is not Stage.ENDED and now.action not in self._runs:
                await self._resume(now, begun)

    async def _catch_up(self) -> None:
        """Do what a commit would have led to that could not say whether it stored, and did."""
        while True:
            await self._journal.doubted.wait()
            self._journal.doubted.clear()
            await self._take_up()
            await self._reverts.load()
            await self._standings.load()
            if session := self._conversations.session:
                session.send(await self._journal.unsent())

    async def _resume(self, order: Order, begun: Begun | None) -> None:
        try:
            run = Run(self._kit, order, verify(order.sealed, self.key_set, self._bench))
        except RefusedError as error:
            await self._disown(order, begun, error.failure)
            return
        self._runs[order.action] = run
        self._spawn(self._follow(run, begun))
        await asyncio.sleep(0)

    async def _disown(self, order: Order, begun: Begun | None, failure: failure_pb2.Failure) -> None:
        """End what no longer holds: its key was revoked, or its kind is no longer offered."""
        if begun:
            parts = changing.unknown(decode(begun.plan))
            await self._journal.end(Ending(order.action, parts, begun.begin_time, unknown=True, failure=failure))
        else:
            await self._journal.answer(refused(order.action, failure))

    async def learn(self, key_set: seal_pb2.Sealed) -> None:
        """Take a sealed `KeySet` that came by another way than a conversation: at enrolment.

        Raises:
            SealInvalidError: The pinned root key did not seal it for this deployment.

        """
        await self._journal.learn_key_set(key_set)

    async def stop(self) -> None:
        """Stop at once, as a crash would, but tidily: what is under way is recovered at the next start."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._unlisten()

    async def serve(self, transport: Transport) -> None:
        """Hold a conversation until it is over; it takes the place of an older one. Effects outlive it.

        Raises:
            ProtocolUnsupportedError, DeploymentMismatchError, CenterOutdatedError, StreamReplacedError: As they say.

        """
        await self._conversations.hold(transport)

    async def met_center(self, start: int) -> None:
        """Note the start number of the centre that speaks; refuse one that started before another that was here."""
        await self._journal.met_center(start)
        self._anew, self._center_start = start != self._center_start, start

    async def met(self, session: Session) -> None:
        """Send what has not been acknowledged, and how what is in force is found."""
        session.send(await self._journal.unsent())
        self._spawn(self._inspection.report(anew=self._anew))
        self._spawn(self._inheritance.report())

    async def heard(self, session: Session, request: executor_service_pb2.WorkRequest) -> None:
        """Do what a message says, whole, even if the conversation ends meanwhile.

        A warrant that is journaled and then not begun would wait for the next start: sent again, it is known.

        Raises:
            SealInvalidError: It isn't sealed by whom it must be; nothing has changed.

        """
        task = asyncio.create_task(self._do(session, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _do(self, session: Session, request: executor_service_pb2.WorkRequest) -> None:
        match request.WhichOneof("message"):
            case "key_set":
                await self._journal.learn_key_set(request.key_set)
            case "freeze":
                await self._journal.learn_freeze(request.freeze)
            case "warrants":
                arrived = await asyncio.gather(*map(self._arrive, request.warrants.warrants))
                session.accept(action for action in arrived if action)
            case "cancels":
                await asyncio.gather(*map(self._cancel, request.cancels.actions))
            case "plan":
                self._spawn(self._preview(request.plan))
            case "stored":
                session.forget(request.stored.ids)
                self.accesses.stored(request.stored.ids)
                await self._journal.stored(request.stored.ids)
                self._pruning.remind()

    async def _arrive(self, sealed: seal_pb2.Sealed) -> str:
        """Journal a warrant and start it; return the action if it is accepted."""
        digest = digest_of(sealed).hex()
        try:
            verified = verify(sealed, self.key_set, self._bench)
        except RefusedError as error:
            return await self._refuse(sealed, digest, error.failure)
        warrant = verified.warrant
        snapshot = warrant.snapshot_digest.hex()
        order = Order(warrant.action, warrant.sequence, verified.kind.name, sealed, (digest,), snapshot=snapshot)
        arrival = await self._journal.arrive(order, verified)
        self._kit.seams.point("kit.accepted")
        if arrival is Arrival.NEW and order.action not in self._runs:
            self._begin(order, verified)
        if arrival is Arrival.OTHER:
            self._spawn(self._inspection.tell(order.action))
        return "" if arrival is Arrival.REFUSED else order.action

    async def _refuse(self, sealed: seal_pb2.Sealed, digest: str, failure: failure_pb2.Failure) -> str:
        try:
            action = warrant_pb2.Warrant.FromString(sealed.body).action
        except DecodeError:
            action = ""
        if not ACTION.fullmatch(action):
            log.warning("warrant_unreadable", reason=failure.reason)
            return ""
        arrival = await self._journal.refuse(action, digest, failure)
        return "" if arrival is Arrival.REFUSED else action

    def _begin(self, order: Order, verified: VerifiedWarrant) -> None:
        for older in self._runs.values() if verified.lets_go else ():
            if self._takes_back(verified, older):
                older.stop(by=order.action)
        run = Run(self._kit, order, verified)
        self._runs[order.action] = run
        self._spawn(self._follow(run, None))

    def _takes_back(self, verified: VerifiedWarrant, older: Run) -> bool:
        """Tell whether a newer order takes back what is being done."""
        if older.verified.lets_go or older.order.sequence > verified.warrant.sequence:
            return False
        if verified.takes_back:
            return verified.takes_back == older.order.action
        release = self._kit.resolver.release(verified.kind.name)
        if older.order.kind != verified.kind.inverse:
            return False
        order = order_of(verified.warrant.remediation)
        items = [item for part in older.parts for item in part.plan.items]
        return any(release.chooses(order, Owned(older.order.action, item.key, item.item)) for item in items)

    async def _cancel(self, action: str) -> None:
        await self._journal.cancel(action)
        if run := self._runs.get(action):
            run.stop()

    async def _preview(self, query: plan_pb2.PlanQuery) -> None:
        found = await previews.answers(self._kit, query)
        if session := self._conversations.session:
            session.answer(found)

    def _tell(self, progress: progress_pb2.Progress) -> None:
        if session := self._conversations.session:
            session.tell(progress)

    def _heard(self, changes: Sequence[Change[Any]]) -> None:
        """Hand on what a commit holds for others. Nothing leaves before it."""
        self._reverts.heard(changes)
        self._standings.heard(changes)
        if session := self._conversations.session:
            rows = [change.after for change in changes if change.table is OUTGOING]
            session.send(row for row in rows if isinstance(row, Outgoing) and not row.stored)

    async def _follow(self, run: Run, begun: Begun | None) -> None:
        try:
            await (run.recover(begun) if begun else run.carry_out())
        finally:
            del self._runs[run.order.action]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("task_failed", exc_info=error)
