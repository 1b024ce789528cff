"""Malformed requests and wrong callers, made from the contracts: every RPC refuses them, and nothing is stored."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    control_service_pb2,
    effect_service_pb2,
    investigation_service_pb2,
    policy_service_pb2,
)
from quell.annotations.v1 import annotations_pb2

from center_house import House
from center_requests import (
    SOON,
    approval,
    block,
    create,
    feedback,
    new,
    rejection,
    retry,
    submission,
    terminate,
    unfreeze,
    url,
)
from center_requests import undo as undone
from contracts import methods
from deployment import OTHERS, PEOPLE
from malformed import broken
from quell_runtime import client, roles
from quell_runtime.seams import stamp

RPCS = [method for method in methods() if method.full_name.startswith("quell.actioncenter.")]
ACTION = f"actions/{new()}"
INVESTIGATION = "investigations/xdr.1"
SEEN = action_pb2.Action(name=ACTION, etag="1")
GOOD: Mapping[str, Message] = {
    "SubmitInvestigation": submission("1", url("e")),
    "AddEvidence": investigation_service_pb2.AddEvidenceRequest(name=INVESTIGATION, evidence=[url("e")]),
    "CompleteInvestigation": investigation_service_pb2.CompleteInvestigationRequest(name=INVESTIGATION),
    "TerminateInvestigation": terminate(INVESTIGATION),
    "GetInvestigation": investigation_service_pb2.GetInvestigationRequest(name=INVESTIGATION),
    "ListEvidence": investigation_service_pb2.ListEvidenceRequest(name=INVESTIGATION),
    "ReportFeedback": feedback(f"{INVESTIGATION}/evidence/e"),
    "CreateAction": create(block(""), investigation=INVESTIGATION),
    "PreviewAction": action_service_pb2.PreviewActionRequest(name=ACTION),
    "GetAction": action_service_pb2.GetActionRequest(name=ACTION),
    "ApproveAction": approval(SEEN),
    "RejectAction": rejection(SEEN),
    "BatchDecideActions": action_service_pb2.BatchDecideActionsRequest(
        vote_id=new(),
        answer=action_pb2.ANSWER_REJECT,
        comment="x",
        filter=action_service_pb2.SeenFilter(filter="state = HELD", seen_time=stamp(datetime.now(UTC))),
    ),
    "CancelAction": action_service_pb2.CancelActionRequest(name=ACTION, comment="x"),
    "UndoAction": undone(ACTION),
    "RetryAction": retry(ACTION),
    "WriteOffAction": action_service_pb2.WriteOffActionRequest(name=ACTION, comment="x"),
    "ListActionItems": action_service_pb2.ListActionItemsRequest(name=ACTION),
    "ListActionEvents": action_service_pb2.ListActionEventsRequest(name=ACTION),
    "GetEffect": effect_service_pb2.GetEffectRequest(name="effects/1"),
    "Freeze": control_service_pb2.FreezeRequest(freeze_id=new(), comment="x", kinds=["block_url"]),
    "Unfreeze": unfreeze(1),
    "GetPolicy": policy_service_pb2.GetPolicyRequest(name="policies/current"),
    "GetDevicePolicy": policy_service_pb2.GetDevicePolicyRequest(device=f"devices/{'a' * 26}"),
    "UpdatePolicy": policy_service_pb2.UpdatePolicyRequest(document="x", replaces="policies/1", comment="x"),
    "TestPolicy": policy_service_pb2.TestPolicyRequest(document="x"),
}
SEEN_ONE = action_service_pb2.SeenAction(name=ACTION, etag="1")
ALSO_GOOD = {
    "BatchDecideActions": action_service_pb2.BatchDecideActionsRequest(
        vote_id=new(),
        answer=action_pb2.ANSWER_REJECT,
        comment="x",
        actions=action_service_pb2.SeenActions(actions=[SEEN_ONE]),
    ),
    "ApproveAction": approval(SEEN, preview_digest="0" * 64),
    "PreviewAction": action_service_pb2.PreviewActionRequest(undo_of=ACTION),
}


def good(method: MethodDescriptor) -> Message:
    """Return a request that is as the contract says; where all is optional, an empty one."""
    return GOOD.get(method.name) or GetMessageClass(method.input_type)()


def permitted(who: str, access: annotations_pb2.Access) -> bool:
    """Tell whether the contract lets somebody call, by the deployment's people and the table of roles."""
    if who in OTHERS:
        return OTHERS[who] in access.callers and roles.grants(roles.OF_KIND[OTHERS[who]], access.permission)
    held = [pattern for role in PEOPLE[who] for pattern in roles.ROLES[role]]
    return annotations_pb2.CALLER_OPERATOR in access.callers and roles.grants(held, access.permission)


async def refused(stub: Any, method: MethodDescriptor, request: Message, timeout: float | None) -> client.Problem:  # noqa: ANN401, ASYNC109 - any stub; the call's own
    """Call and return why it was refused."""
    call = getattr(stub, method.name)([request] if method.client_streaming else request, timeout=timeout)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (call.read() if method.server_streaming else call)
    return client.problem(error.value)


def caller_of(method: MethodDescriptor) -> str:
    """Return somebody who may call it."""
    access = method.GetOptions().Extensions[annotations_pb2.access]
    return next(who for who in (*PEOPLE, *OTHERS) if permitted(who, access))


@pytest.mark.parametrize("method", RPCS, ids=lambda method: method.name)
async def test_whoever_may_not_call_is_refused_and_a_deadline_is_needed(
    aio_stub: Callable[[str], Any], house: House, method: MethodDescriptor
) -> None:
    """Every caller with every RPC, without a deadline: by the contract it is one or the other."""
    access = method.GetOptions().Extensions[annotations_pb2.access]
    before = house.kept()
    for who in (*PEOPLE, *OTHERS):
        if not permitted(who, access):
            problem = await refused(aio_stub(who), method, good(method), None)
            assert (problem.code, problem.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED"), who
        elif not (method.client_streaming or method.server_streaming):
            problem = await refused(aio_stub(who), method, good(method), None)
            assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED"), who
    assert house.kept() == before


@pytest.mark.parametrize("method", RPCS, ids=lambda method: method.name)
async def test_what_breaks_a_rule_of_the_contract_is_refused_by_the_name_of_its_field(
    aio_stub: Callable[[str], Any], house: House, method: MethodDescriptor
) -> None:
    """One rule of one field at a time."""
    before = house.kept()
    requests = [*broken(good(method)), *(broken(ALSO_GOOD[method.name]) if method.name in ALSO_GOOD else ())]
    for path, request in requests:
        problem = await refused(aio_stub(caller_of(method)), method, request, SOON)
        assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"), (path, request)
        assert any(name.startswith(path) for name, _ in problem.violations), (path, problem)
    assert house.kept() == before
    assert requests or not any(method.name in each for each in (GOOD, ALSO_GOOD)), "a request with rules breaks none"


async def test_malformed_evidence_is_named_by_its_place(aio_stub: Callable[[str], Any], house: House) -> None:
    """The whole message is refused, and nothing of it is stored."""
    before = house.kept()
    evidence = [url(str(number)) for number in range(20)]
    evidence[17] = url("17")
    evidence[17].file.sha256 = "no hash"
    (method,) = [method for method in RPCS if method.name == "SubmitInvestigation"]
    problem = await refused(aio_stub("xdr"), method, submission("many", *evidence), SOON)
    assert [name for name, _ in problem.violations] == ["evidence[17].file.sha256"]
    assert house.kept() == before


def texts(method: MethodDescriptor) -> list[str]:
    """Return the fields of its request that hold a text."""
    return [
        field.name for field in method.input_type.fields if field.type == field.TYPE_STRING and not field.is_repeated
    ]


@pytest.mark.parametrize("method", [method for method in RPCS if texts(method)], ids=lambda method: method.name)
async def test_what_is_too_large_is_refused(aio_stub: Callable[[str], Any], method: MethodDescriptor) -> None:
    """A message of more than 4 MiB never reaches us."""
    large = GetMessageClass(method.input_type)()
    large.CopyFrom(good(method))
    setattr(large, texts(method)[0], "x" * (5 << 20))
    problem = await refused(aio_stub(caller_of(method)), method, large, SOON)
    assert problem.code is grpc.StatusCode.RESOURCE_EXHAUSTED
