"""Dialling: a pinned certificate is all that is believed, and an error is read whole."""

import socket
from collections.abc import AsyncIterator

import grpc
import pytest
from cryptography import x509
from grpc import StatusCode
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from deployment import Deployment
from quell_runtime import client, pki
from quell_runtime.people import People
from quell_runtime.server import ENROLMENT, Server


@pytest.fixture
async def port(deployment: Deployment) -> AsyncIterator[int]:
    """Serve enrolment, which says that nobody serves it yet."""
    server = Server(deployment.enrolment(), ENROLMENT, deployment.name, People(deployment.people))
    server.add_unserved(agent_service_pb2.DESCRIPTOR)
    await server.start()
    yield server.port
    await server.drain(settle_s=0, grace_s=0)


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
