"""Remediations by hand, one RPC a kind: each asks a real Action Center, and hands its answer back unchanged."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.actioncenter.v1 import action_pb2
from quell.device.v1 import device_remediation_service_pb2 as of_devices
from quell.device.v1 import device_remediation_service_pb2_grpc as device_grpc
from quell.email.v1 import email_remediation_service_pb2 as of_mail
from quell.email.v1 import email_remediation_service_pb2_grpc as mail_grpc
from quell.remediation.v1 import device_pb2, email_pb2, remediation_pb2, target_pb2

from center_house import House
from center_requests import new
from deployment import NAME, OWN_KEYS, Deployment
from quell_device.api.remediations import DeviceRemediationServicer
from quell_email.api.remediations import EmailRemediationServicer
from quell_runtime import addresses, client
from quell_runtime.by_hand import action_center
from quell_runtime.config import Peer
from quell_runtime.kinds import kinds
from quell_runtime.own_keys import METADATA, OwnKey
from quell_runtime.people import People
from quell_runtime.server import API, Server

DEVICE = f"devices/{'a' * 26}"
ACTION = "actions/00000000-0000-4000-8000-000000000000"
FILE = target_pb2.FileSelector(sha256="ab" * 32)
MAIL = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(subject="x"))
ORDERS: dict[str, Message] = {
    "CollectInvestigationPackage": device_pb2.CollectInvestigationPackage(device=DEVICE),
    "IsolateDevice": device_pb2.IsolateDevice(device=DEVICE, mode=device_pb2.ISOLATION_MODE_FULL),
    "ReleaseDeviceFromIsolation": device_pb2.ReleaseDeviceFromIsolation(device=DEVICE),
    "OffboardMachine": device_pb2.OffboardMachine(device=DEVICE),
    "RestrictCodeExecution": device_pb2.RestrictCodeExecution(device=DEVICE),
    "ReleaseCodeExecution": device_pb2.ReleaseCodeExecution(device=DEVICE),
    "RunAntivirusScan": device_pb2.RunAntivirusScan(device=DEVICE, quick=device_pb2.QuickScan()),
    "StopAndQuarantine": device_pb2.StopAndQuarantine(device=DEVICE, file=FILE),
    "ReleaseFromQuarantine": device_pb2.ReleaseFromQuarantine(device=DEVICE, action=ACTION),
    "RequestSample": device_pb2.RequestSample(device=DEVICE, file=FILE),
    "SoftDeleteMessages": email_pb2.SoftDeleteMessages(messages=MAIL),
    "RestoreMessages": email_pb2.RestoreMessages(action=ACTION),
    "QuarantineMessages": email_pb2.QuarantineMessages(messages=MAIL),
    "ReleaseMessages": email_pb2.ReleaseMessages(action=ACTION),
    "QuarantineAttachment": email_pb2.QuarantineAttachment(sha256="ab" * 32, messages=MAIL),
    "RestoreAttachment": email_pb2.RestoreAttachment(action=ACTION),
    "BlockUrl": email_pb2.BlockUrl(pattern="evil.example"),
    "UnblockUrl": email_pb2.UnblockUrl(pattern="evil.example"),
    "TurnOffExternalForwarding": email_pb2.TurnOffExternalForwarding(mailbox="mailboxes/ann@example.org"),
    "RestoreExternalForwarding": email_pb2.RestoreExternalForwarding(action=ACTION),
}
OFFERED = {"SoftDeleteMessages", "RestoreMessages", "BlockUrl", "UnblockUrl"}
"""What the centre's executor does here; there are no devices, so that what is for one is refused by name."""
SOON = 10.0


@dataclass
class Services:
    """The services whose RPCs ask: where each listens."""

    deployment: Deployment
    ports: dict[str, int]

    async def ask(self, method: str, request: Message, who: str = "ann", **call: Any) -> action_pb2.Action:  # noqa: ANN401
        """Call an RPC, and return the action."""
        service, stub = "device", cast("Any", device_grpc.DeviceRemediationServiceStub)
        if not hasattr(of_devices, f"{method}Request"):
            service, stub = "email", mail_grpc.EmailRemediationServiceStub
        async with self.deployment.channel(self.ports[service], who, service) as channel:
            answer = await getattr(stub(channel), method)(request, **{"timeout": SOON, **call})
        found: action_pb2.Action = answer.action
        return found

    async def refused(self, method: str, request: Message, who: str = "ann", **call: Any) -> client.Problem:  # noqa: ANN401
        """Call an RPC that is refused, and return what it says."""
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.ask(method, request, who, **call)
        return client.problem(refusal.value)


def asking(method: str, **fields: Any) -> Message:  # noqa: ANN401 - fields by name
    """Return a request."""
    module = of_devices if hasattr(of_devices, f"{method}Request") else of_mail
    found: Message = getattr(module, f"{method}Request")(
        **{"action_id": new(), "comment": "by hand", "remediation": ORDERS[method], **fields}
    )
    return found


async def opened(deployment: Deployment, port: int | None, stack: AsyncExitStack) -> Services:
    """Have both services listen; `port` is where they look for the Action Center."""
    peer = None
    if port is not None:
        address = addresses.parse(f"127.0.0.1:{port}")
        peer = Peer(address=address, server_ca=deployment.ca, server_name="actioncenter")
    ports = {}
    for name, servicer, register in (
        ("device", DeviceRemediationServicer, device_grpc.add_DeviceRemediationServiceServicer_to_server),
        ("email", EmailRemediationServicer, mail_grpc.add_EmailRemediationServiceServicer_to_server),
    ):
        listener = deployment.listener(name)
        center = await stack.enter_async_context(action_center(peer, listener))
        server = Server(listener, API, deployment.name, People(deployment.people))
        server.add(register, servicer(center))
        await server.start()
        stack.push_async_callback(server.drain, settle_s=0, grace_s=0)
        ports[name] = server.port
    return Services(deployment, ports)


@pytest.fixture
async def services(grpc_server: int, deployment: Deployment) -> AsyncIterator[Services]:
    """Return both, before a real Action Center."""
    async with AsyncExitStack() as stack:
        yield await opened(deployment, grpc_server, stack)


def test_every_kind_has_its_rpc() -> None:
    """By the kind's own name."""
    methods = {
        method.name
        for module in (of_devices, of_mail)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert methods == ORDERS.keys()
    assert {name.replace("_", "") for name in kinds()} == {name.lower() for name in methods}


@pytest.mark.parametrize("method", ORDERS)
async def test_each_rpc_asks_for_its_kind_and_answers_what_the_centre_says(services: Services, method: str) -> None:
    """The action of the caller, or the centre's own refusal; the same again is the same action."""
    request = asking(method)
    if method not in OFFERED:
        problem = await services.refused(method, request)
        reason = "TARGET_UNRESOLVED" if hasattr(of_devices, f"{method}Request") else "EXECUTOR_LACKS_KIND"
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, reason)
        assert problem.metadata.get("kind", problem.metadata.get("target")) in {
            DEVICE,
            next(kind for kind in kinds() if kind.replace("_", "") == method.lower()),
        }
        return
    found = await services.ask(method, request)
    kind = str(found.remediation.WhichOneof("kind"))
    assert kind.replace("_", "") == method.lower()
    assert getattr(found.remediation, kind) == ORDERS[method]
    assert (found.origin.request.actor, found.origin.request.comment) == ("ann", "by hand")
    assert found.origin.request.via == "email"
    assert found.state == action_pb2.ACTION_STATE_PENDING_APPROVAL
    assert (await services.ask(method, request)).name == found.name


@pytest.mark.parametrize("method", ORDERS)
async def test_each_rpc_refuses_what_is_malformed_and_who_may_not(services: Services, method: str) -> None:
    """Before the Action Center is asked: fields by name, a deadline, and the kind's own right."""
    empty = type(asking(method))()
    problem = await services.refused(method, empty)
    assert (problem.code, problem.reason) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")
    assert {name for name, _ in problem.violations} == {"action_id", "comment", "remediation"}
    problem = await services.refused(method, asking(method), timeout=None)
    assert problem.reason == "DEADLINE_REQUIRED"
    for who in ("carol", "bob", "xdr", "actioncenter", "email"):
        problem = await services.refused(method, asking(method), who)
        assert (problem.code, problem.reason) == (Code.PERMISSION_DENIED, "NOT_PERMITTED"), who


async def test_an_id_that_is_taken_is_said_by_the_centre(services: Services, house: House) -> None:
    """Its reason and metadata come through, and nothing is stored."""
    request = asking("BlockUrl")
    name = (await services.ask("BlockUrl", request)).name
    await house.settled()
    before = house.kept()
    other = email_pb2.BlockUrl(pattern="other.example")
    problem = await services.refused("BlockUrl", asking("BlockUrl", action_id=name[8:], remediation=other))
    assert (problem.code, problem.reason, problem.metadata["name"]) == (Code.ALREADY_EXISTS, "ACTION_ID_TAKEN", name)
    assert house.kept() == before


async def test_the_callers_own_token_is_handed_on(services: Services) -> None:
    """With it the action is the caller's own; one for another service is refused."""
    own = OwnKey(OWN_KEYS["ann"], NAME, "ann")
    request = asking("UnblockUrl")
    action = f"actions/{getattr(request, 'action_id')}"  # noqa: B009 - any request has it
    token = own.actor_token("email", action, datetime.now(UTC))
    found = await services.ask("UnblockUrl", request, metadata=[(METADATA, token)])
    assert (found.name, found.origin.request.via) == (action, "")
    assert found.decision.kind == action_pb2.DECISION_KIND_AUTOMATIC
    wrong = own.actor_token("device", action, datetime.now(UTC))
    problem = await services.refused("UnblockUrl", request, metadata=[(METADATA, wrong)])
    assert (problem.code, problem.reason) == (Code.UNAUTHENTICATED, "ACTOR_TOKEN_INVALID")


@pytest.mark.parametrize("port", [None, 1])
async def test_without_an_action_center_it_says_so(deployment: Deployment, port: int | None) -> None:
    """Whether it is not there, or nobody said where it is."""
    async with AsyncExitStack() as stack:
        services = await opened(deployment, port, stack)
        for method in ("BlockUrl", "IsolateDevice"):
            problem = await services.refused(method, asking(method), timeout=2)
            assert (problem.code, problem.reason) == (Code.UNAVAILABLE, "ACTION_CENTER_AWAY")


def test_what_is_asked_is_a_remediation() -> None:
    """Each order is one that the contract holds good as a whole."""
    fields = remediation_pb2.Remediation.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert {field.message_type.full_name for field in fields if field.message_type} == {
        order.DESCRIPTOR.full_name for order in ORDERS.values()
    }
