"""The policy in force, those before it, and what another one would change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from quell.actioncenter.v1 import policy_service_pb2
from quell.remediation.v1 import evidence_pb2

from quell_actioncenter.application import history, knowledge
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.births import InForce
from quell_actioncenter.application.book import Book
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.domain import comparison
from quell_actioncenter.domain.errors import DeviceUnknownError, PolicyChangedError, PolicyUnknownError
from quell_actioncenter.domain.policy import group_of
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_actioncenter.domain.records import CounterRecord, EvidenceRecord, InvestigationRecord, PolicyRecord
from quell_actioncenter.domain.targets import Facts, labels
from quell_actioncenter.store.tables import COUNTERS, EVIDENCE, INVESTIGATIONS, POLICIES
from quell_runtime.listing.filters import Filter
from quell_runtime.seams import stamp

CURRENT = "policies/current"
NEWEST = "policy"
"""Key of the number of the policy in force."""
CONFIGURED = "policy_configured"
"""Key of the number of the newest policy that the configuration brought."""
CONFIGURATION = "configuration"
"""Who puts a policy in force that stands in a file."""
INVESTIGATED = 1000
"""Investigations, the newest first, on which a document is tried."""
BATCH = 500
MOST_DIFFERENCES = 1000


class Policies:
    """The use cases of `PolicyService`."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk, which also holds the policy in force."""
        self._desk = desk

    async def get(self, name: str) -> policy_service_pb2.Policy:
        """Return a version of the policy, or `policies/current`.

        Raises:
            PolicyUnknownError: There is none.

        """
        wanted = self._desk.in_force.name if name == CURRENT else name
        record = await self._desk.store.load(POLICIES, int(wanted.removeprefix("policies/")))
        if record is None:
            raise PolicyUnknownError(f"there is no {name}", name=name)
        return record.policy

    async def of_device(self, name: str) -> policy_service_pb2.GetDevicePolicyResponse:
        """Tell what the policy in force says of a device.

        Raises:
            DeviceUnknownError: There is none, or it is banned or offboarded.

        """
        facts = await self._desk.decide(partial(_facts_of, device=name))
        device, in_force = facts.devices.get(name), self._desk.in_force
        if device is None:
            raise DeviceUnknownError(f"there is no {name}", name=name)
        group = group_of(in_force.policy, device)
        return policy_service_pb2.GetDevicePolicyResponse(
            policy=in_force.name,
            group=group.name if group else "",
            protected=bool(in_force.policy.protected.among(labels(device))),
        )

    async def load(self, document: str | None) -> policy_service_pb2.Policy:
        """Put the configuration's document in force as the next version; at start.

        One that the configuration brought before is not new: what people have put in force since goes on, as it does
        without a document (at first, our own default).

        Raises:
            PolicyInvalidError: It has mistakes; all are named.

        """
        if document is not None:
            read_policy(document)

        def work(book: Book) -> policy_service_pb2.Policy:
            kept, brought = _version(book, NEWEST), _version(book, CONFIGURED)
            if kept and (document is None or document in (kept.document, brought.document if brought else None)):
                return kept
            made = policy_service_pb2.Policy(document=document or default_document(), actor=CONFIGURATION)
            book.view.put(COUNTERS, CounterRecord(CONFIGURED, _number(kept) + 1))
            return _put(book, kept, made)

        return self._in_force(await self._desk.decide(work, [(COUNTERS, NEWEST), (COUNTERS, CONFIGURED)]))

    async def update(self, request: policy_service_pb2.UpdatePolicyRequest, actor: Actor) -> policy_service_pb2.Policy:
        """Put a document in force as the next version.

        Raises:
            PolicyInvalidError: It has mistakes; all are named.
            PolicyChangedError: Another version is in force than the one that it replaces.

        """
        read_policy(request.document)

        def work(book: Book) -> policy_service_pb2.Policy:
            kept = _version(book, NEWEST)
            assert kept is not None, "one is in force since the first start"  # noqa: S101
            if kept.document == request.document:
                return kept
            if kept.name != request.replaces:
                raise PolicyChangedError(f"{kept.name} is in force: look again", policy=kept.name)
            made = policy_service_pb2.Policy(document=request.document, actor=actor.name, comment=request.comment)
            return _put(book, kept, made)

        return self._in_force(await self._desk.decide(work, [(COUNTERS, NEWEST)]))

    async def test(self, document: str, wanted: Filter[InvestigationRecord]) -> policy_service_pb2.TestPolicyResponse:
        """Tell what a document would decide otherwise than the policy in force.

        Raises:
            PolicyInvalidError: It has mistakes; all are named.

        """
        before, after = self._desk.in_force.policy, read_policy(document)
        found = policy_service_pb2.TestPolicyResponse()
        async for investigation, records in self._past(wanted):
            evidence = [record.stored.evidence for record in records]
            # A decision that puts nothing only reads; what it read is judged outside of the writer.
            facts = await self._desk.decide(partial(_facts, evidence=evidence, seen_on=investigation.devices))
            for record in records:
                # A document may have thousands of patterns; others are served between one record and the next.
                await asyncio.sleep(0)
                for one in comparison.differences(before, after, record.stored.evidence, facts):
                    if len(found.differences) < MOST_DIFFERENCES:
                        found.differences.add(evidence=record.name).MergeFrom(one)
            found.tested += len(records)
        return found

    async def _past(
        self, wanted: Filter[InvestigationRecord]
    ) -> AsyncIterator[tuple[InvestigationRecord, list[EvidenceRecord]]]:
        tail = f"WHERE {wanted.sql} ORDER BY create_time DESC, name DESC LIMIT ?"
        store = self._desk.store
        for investigation in await store.select(INVESTIGATIONS, tail, (*wanted.parameters, INVESTIGATED)):
            last = 0
            page = f"WHERE investigation = ? AND number > ? ORDER BY number LIMIT {BATCH}"
            while records := await store.select(EVIDENCE, page, (investigation.name, last)):
                yield investigation, records
                last = records[-1].number

    def _in_force(self, policy: policy_service_pb2.Policy) -> policy_service_pb2.Policy:
        self._desk.in_force = InForce(read_policy(policy.document), policy.name)
        return policy


def _facts_of(book: Book, device: str) -> Facts:
    return knowledge.of_devices(book.view, {device})


def _facts(book: Book, evidence: Sequence[evidence_pb2.Evidence], seen_on: tuple[str, ...]) -> Facts:
    return knowledge.of_evidence(book.view, evidence, seen_on)


def _version(book: Book, counter: str) -> policy_service_pb2.Policy | None:
    """Return the version that a counter names."""
    number = book.view.get(COUNTERS, counter)
    return book.view.need(POLICIES, number.value).policy if number else None


def _number(policy: policy_service_pb2.Policy | None) -> int:
    return int(policy.name.removeprefix("policies/")) if policy else 0


def _put(
    book: Book, kept: policy_service_pb2.Policy | None, policy: policy_service_pb2.Policy
) -> policy_service_pb2.Policy:
    """Keep a policy as the version after the one that is kept."""
    number = _number(kept) + 1
    policy.name = f"policies/{number}"
    policy.create_time.CopyFrom(stamp(book.now))
    policy.single_operator = read_policy(policy.document).single_operator
    book.view.put(POLICIES, PolicyRecord(number, policy))
    book.view.put(COUNTERS, CounterRecord(NEWEST, number))
    history.append(book.view, book.now, policy.actor, "policy_updated", policy.name, policy)
    return policy
