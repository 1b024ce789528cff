"""From evidence to actions, in one transaction: kept, decided, once; taken back when its verdict falls."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from quell.actioncenter.v1 import action_pb2, investigation_pb2
from quell.remediation.v1 import evidence_pb2, verdict_pb2

from quell_actioncenter.application import births, deltas, knowledge
from quell_actioncenter.application.births import Birth, InForce
from quell_actioncenter.application.book import POLICY, Book, Note, touched
from quell_actioncenter.application.desk import Place
from quell_actioncenter.application.undoing import can_undo, propose_undo
from quell_actioncenter.domain import policy, targets
from quell_actioncenter.domain.errors import EvidenceIdTakenError
from quell_actioncenter.domain.lifecycle import UNDECIDED, UNSENT, Event, State
from quell_actioncenter.domain.policy import Derived, Nothing
from quell_actioncenter.domain.records import ActionRecord, EvidenceRecord, InvestigationRecord
from quell_actioncenter.domain.targets import Facts
from quell_actioncenter.store.tables import ACTIONS, BUDGETS, EQUALS, EVIDENCE, INVESTIGATIONS
from quell_runtime.kinds import is_cluster, kind_of
from quell_runtime.seams import stamp
from quell_runtime.store import replace

DERIVED = uuid.UUID("5f7d4f0a-2b68-5b7e-9d3c-6c1f1f2d9a01")
"""Namespace of the ids of derived actions: the same evidence leads to the same ids, so nothing is derived twice."""
MOST_EVIDENCE = 50
"""Evidence that an action names; where more led to it, it outlives the fall of one."""
HARM: Mapping[int, int] = {verdict_pb2.VERDICT_SUSPICIOUS: 1, verdict_pb2.VERDICT_MALICIOUS: 2}
"""The verdicts that are threats, by how bad they are."""
UNWANTED = (State.REJECTED, State.EXPIRED, State.CANCELED)
"""What was not let happen."""


@dataclass(slots=True)
class Taken:
    """What a message of evidence did."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    stored: list[evidence_pb2.Evidence] = field(default_factory=list)


def places(investigation: str, evidence: Iterable[evidence_pb2.Evidence], in_force: InForce) -> list[Place]:
    """Return what deciding evidence is known to look at, to read it in one trip."""
    evidence = tuple(evidence)
    return [
        (INVESTIGATIONS, investigation),
        *((EVIDENCE, name_of(investigation, one)) for one in evidence),
        *knowledge.places(evidence),
        *((BUDGETS, budget.name) for budget in in_force.policy.budgets),
    ]


def name_of(investigation: str, evidence: evidence_pb2.Evidence) -> str:
    """Return the name under which evidence is kept."""
    return f"{investigation}/evidence/{evidence.id}"


@dataclass(slots=True)
class Judged:
    """What the policy said of some evidence, kept so that a decision may be run again cheaply."""

    facts: Facts | None = None
    evidence: list[bytes] = field(default_factory=list)
    found: list[tuple[Derived, ...] | Nothing] = field(default_factory=list)
    keys: list[tuple[str, ...]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)


class Reading:
    """Evidence of one investigation, read by the policy within one book."""

    def __init__(self, book: Book, in_force: InForce, investigation: InvestigationRecord, judged: Judged) -> None:
        """Read for an investigation that is kept already; `judged` outlives the runs of one decision."""
        self._judged = judged
        self._book = book
        self._view = book.view
        self._in_force = in_force
        self._investigation = investigation

    def take(self, evidence: Sequence[evidence_pb2.Evidence]) -> Taken:
        """Keep a message of evidence and do what follows.

        Raises:
            EvidenceIdTakenError: An id and revision is known with other content; nothing of the message counts.

        """
        names = [name_of(self._investigation.name, one) for one in evidence]
        self._view.expect((EVIDENCE, name) for name in names)
        taken, fresh = Taken(), dict[str, EvidenceRecord]()
        for name, one in zip(names, evidence, strict=True):
            self._keep(taken, fresh, name, one)
        self._see_devices(record.stored.evidence for record in fresh.values())
        self.read(list(fresh.values()))
        return taken

    def read(self, records: Sequence[EvidenceRecord]) -> None:
        """Decide evidence, new or again, and keep what followed or why nothing did."""
        facts = knowledge.of_evidence(
            self._view, (record.stored.evidence for record in records), self._investigation.devices
        )
        judged = self._judge(records, facts)
        self._expect(records, judged.keys)
        for record, found, keys, waits in zip(records, judged.found, judged.keys, judged.waits, strict=True):
            self._follow(record, found, keys, waits)

    def _judge(self, records: Sequence[EvidenceRecord], facts: Facts) -> Judged:
        judged, evidence = self._judged, [record.content for record in records]
        if judged.facts != facts or judged.evidence != evidence:
            judged.facts, judged.evidence = facts, evidence
            rules = self._in_force.policy
            judged.found = [policy.decide_evidence(rules, record.stored.evidence, facts) for record in records]
            judged.waits = [
                found.waits_for
                if isinstance(found, Nothing)
                else policy.waits_for(rules, record.stored.evidence, facts)
                for record, found in zip(records, judged.found, strict=True)
            ]
            judged.keys = [() if isinstance(found, Nothing) else tuple(map(self._key, found)) for found in judged.found]
        return judged

    def _keep(self, taken: Taken, fresh: dict[str, EvidenceRecord], name: str, evidence: evidence_pb2.Evidence) -> None:
        known = fresh.get(name) or self._view.get(EVIDENCE, name)
        content = hashlib.sha256(evidence.SerializeToString(deterministic=True)).digest()
        if known and evidence.revision == known.revision and content != known.content:
            raise EvidenceIdTakenError(f"{name} is known with other content: send it with a higher revision", name=name)
        if known and evidence.revision <= known.revision:
            taken.unchanged += 1
            return
        taken.added += known is None
        taken.replaced += known is not None
        taken.stored.append(evidence)
        number = known.number if known else self._investigation.evidence + taken.added
        fresh[name] = EvidenceRecord(
            name=name,
            stored=investigation_pb2.StoredEvidence(
                name=name, evidence=evidence, actions=known.stored.actions if known else ()
            ),
            investigation=self._investigation.name,
            number=number,
            revision=evidence.revision,
            content=content,
            verdict=evidence.verdict,
            no_action=0,
            waits_for="",
            update_time=self._book.now,
        )

    def _see_devices(self, evidence: Iterable[evidence_pb2.Evidence]) -> None:
        """Remember up to two devices of the investigation: with exactly one, evidence without a device is on it."""
        known = self._investigation.devices
        evidence = tuple(evidence)
        facts = knowledge.of_evidence(self._view, evidence, known)
        seen = targets.see(known, evidence, facts.claims)
        if seen != known:
            # The tallies, and all that a book changes, are written when it is closed.
            current = self._view.need(INVESTIGATIONS, self._investigation.name)
            self._investigation = replace(current, devices=seen)
            self._view.put(INVESTIGATIONS, self._investigation)

    def _expect(self, records: Sequence[EvidenceRecord], keys: Sequence[tuple[str, ...]]) -> None:
        all_keys = {key for of_one in keys for key in of_one}
        # Most of it is new: then these are the rows that it will be.
        new = touched(self._id(key, 0) for key in all_keys)
        self._view.expect([*((EQUALS, key) for key in all_keys), *new])
        known = {name for key in all_keys for name in self._book.equal_to(key)}
        born = {self._id(key, len(self._book.equal_to(key))) for key in all_keys}
        self._book.expect({*known, *born, *(name for record in records for name in record.stored.actions)})

    def _follow(
        self, record: EvidenceRecord, found: tuple[Derived, ...] | Nothing, keys: tuple[str, ...], waits: str
    ) -> None:
        """Do what evidence asks for now, and let go of what it asked for before."""
        before = self._view.get(EVIDENCE, record.name)
        self._count(before, -1)
        risen = before is not None and HARM.get(record.verdict, 0) > HARM.get(before.verdict, 0)
        actions: list[str] = []
        for derived, key in zip(() if isinstance(found, Nothing) else found, keys, strict=True):
            actions.append(self._ask(record.name, derived, key, risen=risen))
        # That a target is lost, or no longer offers a kind, is no verdict: what was asked for stays.
        actions += [name for name in record.stored.actions if waits and name not in actions]
        stored = investigation_pb2.StoredEvidence(
            name=record.name,
            evidence=record.stored.evidence,
            actions=actions,
            no_action=found.wire if isinstance(found, Nothing) and not actions else None,
            update_time=stamp(self._book.now),
        )
        after = replace(
            record,
            stored=stored,
            no_action=stored.no_action.reason,
            waits_for=waits,
        )
        self._view.put(EVIDENCE, after)
        self._count(after, 1)
        for name in record.stored.actions:
            if name not in actions:
                self._fall(self._view.need(ACTIONS, name), record.name)

    def _ask(self, evidence: str, derived: Derived, key: str, *, risen: bool) -> str:
        """Have what evidence asks for once: return the action that does it, known or new."""
        equals = self._book.equal_to(key)
        latest = self._book.action(equals[-1]) if equals else None
        if latest is not None and self._stands(latest, risen=risen):
            return self._join(latest, evidence, derived)
        note = Note(POLICY, f"Rule {derived.decision.rule}.")
        until = self._book.now + derived.revert_after if derived.revert_after else None
        origin = action_pb2.Origin(
            policy=action_pb2.PolicyOrigin(evidence=[evidence], rule=derived.decision.rule, policy=self._in_force.name),
            investigation=self._investigation.name,
        )
        birth = Birth(
            name=self._id(key, len(equals)),
            remediation=derived.remediation,
            origin=origin,
            decision=derived.decision,
            note=note,
            revert_time=until,
            resolved_by=derived.resolved_by,
        )
        return births.bear(self._book, self._in_force, birth).name

    def _stands(self, record: ActionRecord, *, risen: bool) -> bool:
        """Tell whether an action still answers for what is asked for; if not, it is asked for anew.

        What people said no to, or took back, stays so until the verdict has fallen or risen since.
        """
        if record.action.undone_by or State(record.state) in UNWANTED:
            return not (risen or record.fallen)
        if not record.fallen:
            return True
        undo = self._book.action(record.undo) if record.undo else None
        if undo is not None and State(undo.state) in UNDECIDED and undo.action.origin.HasField("policy"):
            self._book.move(undo, Event.CANCELED, Note(POLICY, "The verdict has risen again."))
            return True
        return undo is None

    def _join(self, record: ActionRecord, evidence: str, derived: Derived) -> str:
        """Have an action answer for one more piece of evidence, and let it happen if that asks for no people."""
        record = self._view.need(ACTIONS, record.name)
        named = record.action.origin.policy.evidence
        if record.action.origin.HasField("policy") and evidence not in named and len(named) < MOST_EVIDENCE:
            action = action_pb2.Action()
            action.CopyFrom(record.action)
            action.origin.policy.evidence.append(evidence)
            record = replace(record, action=action)
        record = replace(record, fallen=False)
        self._view.put(ACTIONS, record)
        if derived.decision.event == Event.LET and State(record.state) in UNDECIDED:
            self._rise(record, derived)
        return record.name

    def _rise(self, record: ActionRecord, derived: Derived) -> None:
        kind = kind_of(record.action.remediation)
        decision = births.spend(self._book, self._in_force.policy, kind, derived.decision)
        if decision.event == Event.LET:
            go = births.automatic(self._book, self._in_force, record, decision.rule)
            self._book.let(record, Event.APPROVED, Note(POLICY, f"The verdict has risen: rule {decision.rule}."), go)

    def _fall(self, record: ActionRecord, evidence: str) -> None:
        """Let go of an action that nothing asks for any more: call it off, or propose to take it back."""
        others = [name for name in record.action.origin.policy.evidence if name != evidence]
        self._view.expect((EVIDENCE, name) for name in others)
        stand = [
            row for name in others if (row := self._view.get(EVIDENCE, name)) and record.name in row.stored.actions
        ]
        if stand or record.fallen or not record.action.origin.HasField("policy"):
            return
        newcomers = deltas.of_cluster(self._book, record.name) if is_cluster(record.action.remediation) else ()
        for one in (record, *newcomers):
            self._let_go(one)

    def _let_go(self, record: ActionRecord) -> None:
        if record.fallen:
            return
        record = replace(record, fallen=True)
        self._view.put(ACTIONS, record)
        if State(record.state) in UNSENT:
            self._book.move(record, Event.CANCELED, Note(POLICY, "The verdict that asked for it has changed."))
        elif can_undo(self._book, self._in_force, record):
            propose_undo(self._book, self._in_force, record)

    def _count(self, record: EvidenceRecord | None, sign: int) -> None:
        """Count evidence in its investigation, or no more."""
        if record is None:
            return
        threat = record.verdict in HARM
        served = bool(record.stored.actions)
        changes = Counter(
            evidence=sign,
            threats=sign * threat,
            undetermined=sign * (record.verdict == verdict_pb2.VERDICT_UNDETERMINED),
            unserved=sign * (threat and not served),
        )
        self._book.count(self._investigation.name, changes)

    def _key(self, derived: Derived) -> str:
        return births.equal_key(self._investigation.name, derived.remediation)

    def _id(self, key: str, generation: int) -> str:
        return f"actions/{uuid.uuid5(DERIVED, f'{key}/{generation}')}"
