"""Versions of the policy: tried before they are put in force, put in force by people, and kept over a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from quell.actioncenter.v1 import action_pb2, policy_service_pb2

from center_house import POLICY, House
from center_requests import SOON, Center, new, submission, url
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.policies import CURRENT, Policies
from quell_actioncenter.domain.policy_yaml import default_document
from quell_actioncenter.store.tables import ACTIONS
from quell_runtime import client
from quell_runtime.seams import SystemClock, SystemRng
from quell_runtime.store.opening import opened

EMAIL = "  email: {malicious: approval, suspicious: approval}"
BY_ITSELF = POLICY.replace(EMAIL, "  email: {malicious: approval, suspicious: automatic}")
NOT_AT_ALL = POLICY.replace(EMAIL, "  email: {malicious: approval, suspicious: none}")
WRONG = POLICY.replace("remediation: block_url", "remediation: make_coffee").replace("limit: 20\n", "limit: many\n")
PENDING, QUEUED = action_pb2.ACTION_STATE_PENDING_APPROVAL, action_pb2.ACTION_STATE_QUEUED

Stubs = Callable[[str], Any]


def update(document: str, replaces: str) -> policy_service_pb2.UpdatePolicyRequest:
    """Return a request for a new version."""
    return policy_service_pb2.UpdatePolicyRequest(document=document, replaces=replaces, comment="it was decided")


async def current(center: Center) -> policy_service_pb2.Policy:
    """Return the version in force."""
    answer = await center.ask("ann", "GetPolicy", policy_service_pb2.GetPolicyRequest(name=CURRENT))
    found: policy_service_pb2.Policy = answer.policy
    return found


@pytest.mark.parametrize(("document", "after"), [(BY_ITSELF, QUEUED), (NOT_AT_ALL, 0), (POLICY, None)])
async def test_a_document_is_tried_on_the_past(aio_stub: Stubs, house: House, document: str, after: int | None) -> None:
    """Evidence that it would decide otherwise is told; with the document in force there is none. Nothing changes."""
    center = Center(aio_stub)
    name = await center.submitted(url("one"), url("two"))
    before = house.kept()
    request = policy_service_pb2.TestPolicyRequest(document=document, filter=f'name = "{name}"')
    found = await center.ask("dan", "TestPolicy", request)
    assert found.tested == 2
    told = [(each.evidence, each.kind, each.before, each.after, each.rule) for each in found.differences]
    wanted = [(f"{name}/evidence/{each}", "block_url", PENDING, after, "block-urls") for each in ("one", "two")]
    assert told == (wanted if after is not None else [])
    assert house.kept() == before


@pytest.mark.parametrize("method", ["TestPolicy", "UpdatePolicy"])
async def test_every_mistake_is_named(aio_stub: Stubs, method: str) -> None:
    """By line and key, each as a violation of its own."""
    tried = policy_service_pb2.TestPolicyRequest(document=WRONG)
    request = tried if method == "TestPolicy" else update(WRONG, "policies/1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(aio_stub("dan"), method)(request, timeout=SOON)
    found = client.problem(refused.value)
    lines = [
        number for number, line in enumerate(WRONG.splitlines(), 1) if "make_coffee" in line or "limit: many" in line
    ]
    assert [field for field, _ in found.violations] == ["document", "document"]
    for (_, told), line, key in zip(
        found.violations, lines, ("playbook[3].remediation", "budgets[1].limit"), strict=True
    ):
        assert told.startswith(f"line {line}: {key}: ")


async def test_what_people_put_in_force_decides_from_then_on(aio_stub: Stubs, house: House) -> None:
    """The version says who and why; asked again it is the same; what waited already still waits."""
    center = Center(aio_stub)
    first = await current(center)
    waiting = await center.submitted(url("old"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await center.ask("ann", "UpdatePolicy", update(BY_ITSELF, first.name))
    assert client.problem(refused.value).reason == "NOT_PERMITTED"
    made = (await center.ask("dan", "UpdatePolicy", update(BY_ITSELF, first.name))).policy
    again = (await center.ask("dan", "UpdatePolicy", update(BY_ITSELF, first.name))).policy
    assert made == again == await current(center)
    assert (made.document, made.actor, made.comment) == (BY_ITSELF, "dan", "it was decided")
    request = submission(new(), url("new"), complete=True)
    await center.ask("xdr", "SubmitInvestigation", request)
    (action,) = await _actions(house, f"investigations/xdr.{request.investigation_id}")
    assert (action.decision.kind, action.decision.policy) == (action_pb2.DECISION_KIND_AUTOMATIC, made.name)
    assert not made.single_operator
    (old,) = await _actions(house, waiting)
    assert old.state == PENDING
    back = (await center.ask("dan", "UpdatePolicy", update(POLICY, made.name))).policy
    assert int(back.name.removeprefix("policies/")) == int(made.name.removeprefix("policies/")) + 1


async def _actions(house: House, investigation: str) -> list[action_pb2.Action]:

    found = await house.within(house.served.store.select(ACTIONS, "WHERE investigation = ?", (investigation,)))
    return [record.action for record in found]


async def test_a_restart_brings_no_old_policy_back(tmp_path: Path) -> None:
    """The configuration's document counts when it is new; what people have put in force since goes on."""
    ours, theirs = default_document(), BY_ITSELF
    async with opened(tmp_path, "quell_actioncenter.store", name="center") as store:
        policies = Policies(Desk(store, SystemClock(), SystemRng()))
        assert (await policies.load(ours)).name == "policies/1"
        await policies.update(update(theirs, "policies/1"), Actor("dan", frozenset()))
        for configured, wanted in ((ours, theirs), (None, theirs), (NOT_AT_ALL, NOT_AT_ALL), (None, NOT_AT_ALL)):
            assert (await policies.load(configured)).document == wanted
        assert (await policies.get(CURRENT)).name == "policies/3"
        alone = ours.replace("single_operator: false", "single_operator: true")
        assert (await policies.load(alone)).single_operator
