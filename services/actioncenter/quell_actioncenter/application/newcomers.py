"""Newcomers of a cluster: what came after its list was approved is a pending action of its own, never a silent part.

A cluster is looked at again when the action on it has ended, and when evidence names it anew. Its newcomers are asked
for only then: two orders about one cluster at once would be in each other's way. One delta is open at a time.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog

from quell_actioncenter.application import births, deltas
from quell_actioncenter.application.backlog import Backlog
from quell_actioncenter.application.births import Birth
from quell_actioncenter.application.book import CENTER, Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.plans import Plan, Plans
from quell_actioncenter.application.previews import Previews, Subject
from quell_actioncenter.domain import decision
from quell_actioncenter.domain.decision import Decision
from quell_actioncenter.domain.errors import PlanRefusedError
from quell_actioncenter.domain.lifecycle import LIVE, UNDECIDED, Event, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, EVIDENCE, INVESTIGATIONS
from quell_runtime.kinds import is_cluster
from quell_runtime.store import Change

_log = structlog.get_logger()
RULE = "newcomers"
PAUSE_S = 5.0
LOOKED_AT = (State.SUCCEEDED, State.PARTIALLY_SUCCEEDED, State.NOT_NEEDED)
"""Where the action on a cluster must have ended."""


class Newcomers:
    """Looks at clusters again, one after the other. A look that a crash prevents comes with the next news of it."""

    def __init__(self, desk: Desk, plans: Plans) -> None:
        """Decide at this desk, and ask executors through these plans."""
        self._desk = desk
        self._plans = plans
        self._previews = Previews(desk, plans)
        self._backlog = Backlog(_clusters, self._look, PAUSE_S)

    async def run(self) -> None:
        """Look at what has news, until cancelled."""
        await self._backlog.run(self._desk.store)

    async def _look(self, cluster: str) -> None:
        subject = await self._desk.decide(lambda book: _subject(book, cluster))
        if subject is None:
            return
        decided_by = self._desk.clock.now() + self._desk.in_force.policy.times.decision.default
        try:
            plan = await self._plans.ask(subject.remediation, "", decided_by + timedelta(days=1), subject.beyond)
            await self._desk.decide(lambda book: self._ask(book, cluster, subject, plan))
        except PlanRefusedError as refusal:
            _log.info("newcomers_unknown", action=cluster, reason=refusal.message)

    def _ask(self, book: Book, cluster: str, subject: Subject, plan: Plan) -> None:
        """Ask people about newcomers, or show them anew; nothing, if they were decided on in the meantime."""
        now = _subject(book, cluster)
        if now is None or now.beyond != subject.beyond or not (plan.items or now.record):
            return
        delta = now.record or self._born(book, book.view.need(ACTIONS, cluster))
        preview = self._previews.preview_of(book, now, plan, delta.needs, delta)
        self._previews.keep(book, delta, plan, preview.SerializeToString(deterministic=True), CENTER)

    def _born(self, book: Book, cluster: ActionRecord) -> ActionRecord:
        """Bring a delta into being: asked for by whoever asked for the cluster, and decided by as many."""
        number = len(deltas.of_cluster(book, cluster.name))
        asked = Decision(
            Event.ASKED,
            RULE,
            decision.approve_permission(cluster.kind),
            max(1, cluster.needs),
            ("they came after the list was approved",),
        )
        birth = Birth(
            name=deltas.name_of(cluster.name, number),
            remediation=cluster.action.remediation,
            origin=cluster.action.origin,
            decision=asked,
            note=Note(CENTER, f"Newcomers of {cluster.name}."),
            delta_of=cluster.name,
        )
        return births.bear(book, self._desk.in_force, birth)


def _clusters(change: Change[Any]) -> Iterator[str]:
    """Yield the clusters of which a change is news."""
    before, after = change.before, change.after
    if after is None:
        return
    if change.table is ACTIONS:
        action = after.action
        ends = after.state in LOOKED_AT and (before is None or before.state != after.state)
        if ends and action.snapshot_digest and not action.undo_of:
            yield action.delta_of or after.name
    elif change.table is EVIDENCE and after.stored.evidence.WhichOneof("entity") in (
        "cluster",
        "message",
        "attachment",
    ):
        yield from after.stored.actions


def _subject(book: Book, cluster: str) -> Subject | None:
    """Return what is to be looked at, with the delta that is open, if there is one; None: there is nothing to ask."""
    record = book.action(cluster)
    if record is None or record.state not in LOOKED_AT or not is_cluster(record.action.remediation):
        return None
    investigation = book.view.get(INVESTIGATIONS, record.investigation) if record.investigation else None
    over = record.action.undone_by or record.fallen or (investigation is not None and investigation.terminated)
    if over or not record.action.snapshot_digest:
        return None
    known = deltas.of_cluster(book, cluster)
    newest = known[-1] if known and State(known[-1].state) in LIVE else None
    if newest is not None and (State(newest.state) not in UNDECIDED or newest.action.votes):
        return None
    return Subject(record.action.remediation, "", newest, deltas.beyond(book, cluster, newest))
