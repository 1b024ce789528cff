"""Dialling: a pinned certificate is all that is believed, and an error is read whole."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from grpc import StatusCode
from quell.annotations.v1 import annotations_pb2
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from deployment import Deployment
from quell_runtime import addresses, client, identity, pki
from quell_runtime.config import ServerTls
from quell_runtime.people import People
from quell_runtime.server import ENROLMENT, Server


@asynccontextmanager
async def serving(deployment: Deployment, where: ServerTls) -> AsyncIterator[int]:
    """Serve enrolment, which says that nobody serves it yet."""
    server = Server(where, ENROLMENT, deployment.name, People(deployment.people))
    server.add_unserved(agent_service_pb2.DESCRIPTOR)
    await server.start()
    yield server.port
    await server.drain(settle_s=0, grace_s=0)


@pytest.fixture
async def port(deployment: Deployment) -> AsyncIterator[int]:
    """Serve enrolment at the deployment's own name."""
    async with serving(deployment, deployment.enrolment()) as port:
        yield port


def shown(deployment: Deployment, who: str = "device") -> bytes:
    """Return the SHA-256 of a certificate."""
    return pki.fingerprint(x509.load_pem_x509_certificate(deployment.credentials(who).certificate.read_bytes()))


async def test_the_pinned_certificate_is_believed(deployment: Deployment, port: int) -> None:
    """Without any authority: the call gets through, and its answer is read with its reason."""
    async with await client.pinned_channel(f"127.0.0.1:{port}", shown(deployment)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await agent_service_pb2_grpc.AgentServiceStub(channel).Enrol(agent_service_pb2.EnrolRequest(), timeout=5)
    problem = client.problem(refusal.value)
    assert (problem.code, problem.reason) == (StatusCode.UNIMPLEMENTED, "NOT_SERVED_YET")


@pytest.mark.parametrize(("host", "believed"), [("127.0.0.1", True), ("", False)])
async def test_a_pinned_certificate_may_be_for_an_address_alone(
    deployment: Deployment, tmp_path: Path, host: str, *, believed: bool
) -> None:
    """A gateway need not have a name; one that is for nobody is refused, and no riddle."""
    who = identity.Identity(annotations_pb2.CALLER_SERVICE, deployment.name, "addressed")
    leaf = deployment.authority.issue(who, datetime.now(UTC), hosts=[host] if host else [])
    leaf.save(tmp_path / "crt", tmp_path / "key")
    where = ServerTls(listen=addresses.parse("127.0.0.1:0"), certificate=tmp_path / "crt", key=tmp_path / "key")
    async with serving(deployment, where) as port:
        digest = pki.fingerprint(x509.load_pem_x509_certificate((tmp_path / "crt").read_bytes()))
        if not believed:
            with pytest.raises(client.CertificateStrangeError):
                await client.pinned_channel(f"127.0.0.1:{port}", digest)
            return
        async with await client.pinned_channel(f"127.0.0.1:{port}", digest) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await agent_service_pb2_grpc.AgentServiceStub(channel).Enrol(
                    agent_service_pb2.EnrolRequest(), timeout=5
                )
    assert client.problem(refusal.value).code == StatusCode.UNIMPLEMENTED


async def test_another_certificate_of_the_same_authority_is_not_believed(deployment: Deployment, port: int) -> None:
    """Nothing is sent to it."""
    with pytest.raises(client.CertificateStrangeError):
        await client.pinned_channel(f"127.0.0.1:{port}", shown(deployment, "email"))


async def test_nobody_there_is_an_os_error() -> None:
    """So that whoever dials tries again."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(OSError, match=r"refused|Connect"):
        await client.pinned_channel(f"127.0.0.1:{port}", bytes(32))
