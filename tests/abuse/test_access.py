"""Every RPC of the contracts against every kind of caller: let in exactly where the contract says so.

The servicers are dummies that note that they were reached, and take an empty message, so that nothing but access
decides. What is expected comes from the contracts' options; for people, with the roles' table.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode
from quell.annotations.v1 import annotations_pb2

from contracts import methods, services
from deployment import PEOPLE, Deployment, make
from quell_runtime import client
from quell_runtime.identity import Identity
from quell_runtime.interceptors.call import access_of
from quell_runtime.people import People
from quell_runtime.pki import PEM, Authority, Leaf
from quell_runtime.roles import ROLES, grants
from quell_runtime.server import AGENTS, API, ENROLMENT, Server

DENIED = {StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED, StatusCode.UNAVAILABLE}
KINDS = {
    "xdr": annotations_pb2.CALLER_DETECTOR,
    "device": annotations_pb2.CALLER_SERVICE,
    "actioncenter": annotations_pb2.CALLER_ACTION_CENTER,
    "clicks": annotations_pb2.CALLER_MAIL_FILTER,
}
NOBODY = ("nobody", "stranger", "abroad", "two-ids", "agent-of-the-agents-ca")


class Everything:
    """All services of the contracts, by handlers that only note that they were reached."""

    def __init__(self) -> None:
        """Nobody was there yet."""
        self.reached: list[str] = []

    def serve(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        """Return the dummies of a service."""
        return grpc.method_handlers_generic_handler(
            service.full_name, {method.name: self._dummy(method) for method in service.methods}
        )

    def _dummy(self, method: MethodDescriptor) -> Any:  # noqa: ANN401 - one of four kinds of handler
        async def one(_asked: object, _context: object) -> Empty:
            self.reached.append(method.full_name)
            return Empty()

        async def many(_asked: object, _context: object) -> AsyncIterator[Empty]:
            self.reached.append(method.full_name)
            yield Empty()

        kind = f"{arity(method)}_rpc_method_handler"
        handler = many if method.server_streaming else one
        return getattr(grpc, kind)(handler, Empty.FromString, Empty.SerializeToString)


def arity(method: MethodDescriptor) -> str:
    """Return how gRPC calls its form."""
    return "_".join("stream" if many else "unary" for many in (method.client_streaming, method.server_streaming))


@dataclass
class House:
    """All listeners of a deployment, each with everything behind it."""

    deployment: Deployment
    everything: Everything = field(default_factory=Everything)
    ports: dict[str, int] = field(default_factory=dict)

    async def open(self, name: str, server: Server) -> Server:
        """Start one."""
        for service in services():
            server._server.add_generic_rpc_handlers((self.everything.serve(service),))  # noqa: SLF001 - dummies only
        await server.start()
        self.ports[name] = server.port
        return server

    async def call(self, channel: grpc.aio.Channel, method: MethodDescriptor) -> StatusCode:
        """Call an RPC, and return its code."""
        path = f"/{method.full_name.rpartition('.')[0]}/{method.name}"
        make_call: Any = getattr(channel, arity(method))(path, Empty.SerializeToString, Empty.FromString)
        # Nothing is sent up a stream: a write that meets a refusal takes its code away from the caller.
        asked = _silent() if method.client_streaming else Empty()
        call = make_call(asked, timeout=10)
        try:
            if method.server_streaming:
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return StatusCode.OK

    async def admitted(self, channel: grpc.aio.Channel) -> set[str]:
        """Return the RPCs that let a caller in; every other answer must be a denial that reached nobody."""
        found = set()
        async with channel:
            for method in methods():
                self.everything.reached.clear()
                code = await self.call(channel, method)
                assert code is StatusCode.OK or code in DENIED, (method.full_name, code)
                assert self.everything.reached == ([method.full_name] if code is StatusCode.OK else [])
                if code is StatusCode.OK:
                    found.add(method.full_name)
        return found


async def _silent() -> AsyncIterator[Empty]:
    await asyncio.Event().wait()
    yield Empty()


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Make a deployment with callers that should get nowhere."""
    found = make(tmp_path_factory.mktemp("house"))
    now = datetime.now(UTC)
    ann = Identity(annotations_pb2.CALLER_OPERATOR, found.name, "ann")
    agent = Identity(annotations_pb2.CALLER_AGENT, found.name, "a" * 26)
    found.issue("nobody", replace(ann, name="nobody"))
    found.issue("stranger", ann, authority=Authority.make("strange", now))
    found.issue("abroad", replace(ann, deployment="elsewhere"))
    found.issue("agent-of-the-agents-ca", agent, authority=found.agents)
    found.issue("agent-of-the-people-ca", agent)
    two_ids(found, ann)
    return found


def two_ids(deployment: Deployment, ann: Identity) -> None:
    """Issue what no authority of ours would: two ids in one certificate, both with rights."""
    leaf = deployment.authority.issue(ann, datetime.now(UTC), life=timedelta(days=1))
    ids = [x509.UniformResourceIdentifier(str(ann)), x509.UniformResourceIdentifier(str(replace(ann, name="bob")))]
    old = leaf.certificate
    builder = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        old.serial_number,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    doubled = builder.add_extension(x509.SubjectAlternativeName(ids), critical=False)
    certificate = doubled.sign(deployment.authority.key, hashes.SHA256())
    files = deployment.credentials("two-ids")
    Leaf(certificate, leaf.key).save(files.certificate, files.key)
    assert files.certificate.read_bytes() == certificate.public_bytes(PEM)


@pytest.fixture
async def house(mine: Deployment) -> AsyncIterator[House]:
    """Open the listeners of a deployment: the API's, the agents', enrolment's."""
    people = People(mine.people)
    agents_ca = mine.folder / "agents-ca.crt"
    api, agents = mine.listener("device"), mine.listener("device").model_copy(update={"client_ca": agents_ca})
    found = House(mine)
    async with AsyncExitStack() as stack:
        for name, server in {
            "api": Server(api, API, mine.name, people),
            "agents": Server(agents, AGENTS, mine.name, people),
            "enrolment": Server(mine.enrolment(), ENROLMENT, mine.name, people),
        }.items():
            await found.open(name, server)
            stack.push_async_callback(server.drain, settle_s=0, grace_s=0)
        yield found


def expected(caller: int, rights: frozenset[str] | None = None) -> set[str]:
    """Return what the contracts let a caller call; people need the permission too."""
    found = {method.full_name: access_of(method.full_name) for method in methods()}
    return {
        name
        for name, access in found.items()
        if caller in access.callers and (rights is None or grants(rights, access.permission))
    }


def test_every_rpc_has_access() -> None:
    """One without names no caller, and is denied to all; here it fails."""
    for method in methods():
        access = access_of(method.full_name)
        assert access.permission, method.full_name
        assert access.callers, method.full_name
        assert annotations_pb2.CALLER_UNSPECIFIED not in access.callers, method.full_name


@pytest.mark.parametrize("person", PEOPLE)
async def test_people_are_let_in_where_their_roles_say(house: House, person: str) -> None:
    """Viewer, responder, approver, admin, and two roles at once."""
    rights = frozenset[str]().union(*(ROLES[role] for role in PEOPLE[person]))
    found = await house.admitted(house.deployment.channel(house.ports["api"], person, "device"))
    assert found == expected(annotations_pb2.CALLER_OPERATOR, rights) != set()


@pytest.mark.parametrize(("who", "kind"), KINDS.items())
async def test_others_are_let_in_by_what_they_are(house: House, who: str, kind: int) -> None:
    """Detector, service, Action Center, mail filter: nowhere else."""
    found = await house.admitted(house.deployment.channel(house.ports["api"], who, "device"))
    assert found == expected(kind) != set()


@pytest.mark.parametrize("who", NOBODY)
async def test_who_is_not_known_here_gets_nowhere(house: House, who: str) -> None:
    """A person without a role, another CA, another deployment, two ids, an agent at the people's listener."""
    assert await house.admitted(house.deployment.channel(house.ports["api"], who, "device")) == set()


@pytest.mark.parametrize("listener", ["api", "agents"])
async def test_without_a_certificate_nobody_gets_anywhere(house: House, listener: str) -> None:
    """Not even to enrolment, which has a listener of its own."""
    bare = grpc.ssl_channel_credentials(house.deployment.ca.read_bytes())
    channel = grpc.aio.secure_channel(f"127.0.0.1:{house.ports[listener]}", bare, options=client.options("device"))
    assert await house.admitted(channel) == set()


async def test_agents_are_let_in_at_their_listener_alone(house: House) -> None:
    """By the agents' CA; one of the people's CA is none there."""
    port = house.ports["agents"]
    found = await house.admitted(house.deployment.channel(port, "agent-of-the-agents-ca", "device"))
    assert found == expected(annotations_pb2.CALLER_AGENT) != set()
    for who in ("agent-of-the-people-ca", "ann", "actioncenter"):
        assert await house.admitted(house.deployment.channel(port, who, "device")) == set()


async def test_the_enrolment_listener_lets_everybody_enrol_and_nothing_else(house: House) -> None:
    """Whatever certificate is shown."""
    bare = grpc.ssl_channel_credentials(house.deployment.ca.read_bytes())
    channel = grpc.aio.secure_channel(f"127.0.0.1:{house.ports['enrolment']}", bare, options=client.options("device"))
    anyone = expected(annotations_pb2.CALLER_ANYONE)
    assert await house.admitted(channel) == anyone == {"quell.device.v1.AgentService.Enrol"}
    ann = house.deployment.channel(house.ports["enrolment"], "ann", "device")
    assert await house.admitted(ann) == anyone
