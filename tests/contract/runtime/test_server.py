"""A listener: who gets in, what it tells of itself, how it ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from quell.actioncenter.v1 import policy_service_pb2, policy_service_pb2_grpc
from quell.annotations.v1 import annotations_pb2
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.email.v1 import mailbox_service_pb2, mailbox_service_pb2_grpc, url_service_pb2, url_service_pb2_grpc

from deployment import Deployment, make
from eventually import eventually
from quell_runtime import addresses, client
from quell_runtime.config import Loopback
from quell_runtime.errors import PortTakenError
from quell_runtime.identity import Identity
from quell_runtime.people import People
from quell_runtime.pki import Authority
from quell_runtime.server import ADMIN, API, ENROLMENT, Server
from urls import Urls

ASKED = url_service_pb2.CheckUrlRequest(url="ok")


@asynccontextmanager
async def served(deployment: Deployment, server: Server | None = None) -> AsyncIterator[Server]:
    """Serve URLs, and more of the contract that nobody serves yet."""
    server = server or deployment.server("email")
    server.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, Urls())
    server.add(policy_service_pb2_grpc.add_PolicyServiceServicer_to_server, Unwritten())  # type: ignore[abstract]
    server.add_unserved(mailbox_service_pb2.DESCRIPTOR)
    await server.start()
    try:
        yield server
    finally:
        await server.drain(settle_s=0, grace_s=0)


class Unwritten(policy_service_pb2_grpc.PolicyServiceServicer):
    """A servicer that has what the generated code gives it."""


async def refused(channel: grpc.aio.Channel) -> client.Problem:
    """Return why a URL can't be checked over a channel."""
    async with channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=5)
    return client.problem(refusal.value)


async def test_only_this_deployments_callers_get_in(tmp_path: Path) -> None:
    """No certificate, a strange one, one past its end, plaintext: no handshake. Another deployment: no identity."""
    mine = make(tmp_path)
    now = datetime.now(UTC)
    ann = Identity(annotations_pb2.CALLER_OPERATOR, "example", "ann")
    mine.issue("stranger", ann, authority=Authority.make("strange", now))
    mine.issue("abroad", replace(ann, deployment="elsewhere"))
    mine.issue("late", ann, life=timedelta(seconds=-1))
    async with served(mine) as server:
        address = f"127.0.0.1:{server.port}"
        bare = grpc.ssl_channel_credentials(mine.ca.read_bytes())
        for channel in (
            mine.channel(server.port, "stranger", "email"),
            mine.channel(server.port, "late", "email"),
            grpc.aio.secure_channel(address, bare, options=client.options("email")),
            grpc.aio.insecure_channel(address),
        ):
            assert (await refused(channel)).code is StatusCode.UNAVAILABLE
        problem = await refused(mine.channel(server.port, "abroad", "email"))
        assert (problem.code, problem.reason) == (StatusCode.UNAUTHENTICATED, "IDENTITY_INVALID")


async def test_a_certificate_counts_no_longer_than_it_lasts_on_a_connection_that_goes_on(tmp_path: Path) -> None:
    """GRPC looks at a certificate's end at the handshake only; each call looks again."""
    mine = make(tmp_path)

    class Later:
        """A clock that can be put forward."""

        ahead = timedelta()

        def now(self) -> datetime:
            return datetime.now(UTC) + self.ahead

        def boot(self) -> float:
            return 0.0

    clock = Later()
    own = Server(mine.listener("email"), API, mine.name, People(mine.people), clock=clock)
    async with served(mine, own) as server, mine.channel(server.port, "ann", "email") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        await stub.CheckUrl(ASKED, timeout=5)
        clock.ahead = timedelta(days=2)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CheckUrl(ASKED, timeout=5)
        assert refusal.value.code() is StatusCode.UNAUTHENTICATED


async def test_another_services_certificate_is_no_server_for_us(deployment: Deployment) -> None:
    """A channel to the email service does not talk to who shows the Action Center's certificate."""
    async with served(deployment, deployment.server("actioncenter")) as server:
        assert (await refused(deployment.channel(server.port, "ann", "email"))).code is StatusCode.UNAVAILABLE


async def test_new_certificates_count_from_the_next_handshake(tmp_path: Path) -> None:
    """Files that change are read again, without a restart; damaged ones leave what was."""
    mine = make(tmp_path)
    async with served(mine) as server:
        now = datetime.now(UTC)
        other = Authority.make("next", now)
        (tmp_path / "email.crt").write_bytes(b"")
        async with mine.channel(server.port, "ann", "email") as channel:
            await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=5)
        for name in ("email.crt", "email.key", "ann.crt", "ann.key", "ca.crt", "ca.key"):
            (tmp_path / name).unlink()
        other.save(tmp_path / "ca.crt", tmp_path / "ca.key")
        mine.issue("ann", Identity(annotations_pb2.CALLER_OPERATOR, "example", "ann"), authority=other)
        mine.issue(
            "email", Identity(annotations_pb2.CALLER_SERVICE, "example", "email"), authority=other, hosts=("email",)
        )
        async with mine.channel(server.port, "ann", "email") as channel:
            await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=5)


async def test_what_is_in_the_contract_and_not_served_says_so(deployment: Deployment) -> None:
    """Whole services, and single RPCs that nobody wrote; who may not call them learns nothing."""
    async with served(deployment) as server:
        async with deployment.channel(server.port, "ann", "email") as channel:
            for call in (
                mailbox_service_pb2_grpc.MailboxServiceStub(channel).ListMailboxes(
                    mailbox_service_pb2.ListMailboxesRequest(), timeout=5
                ),
                policy_service_pb2_grpc.PolicyServiceStub(channel).GetPolicy(
                    policy_service_pb2.GetPolicyRequest(name="policies/current"), timeout=5
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await call
                problem = client.problem(refusal.value)
                assert (problem.code, problem.reason) == (StatusCode.UNIMPLEMENTED, "NOT_SERVED_YET")
        async with deployment.channel(server.port, "xdr", "email") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await mailbox_service_pb2_grpc.MailboxServiceStub(channel).ListMailboxes(
                    mailbox_service_pb2.ListMailboxesRequest(), timeout=5
                )
            assert refusal.value.code() is StatusCode.PERMISSION_DENIED


async def test_reflection_lists_what_is_served_to_any_known_caller(deployment: Deployment) -> None:
    """With its own certificate; grpcurl needs nothing else."""
    async with served(deployment) as server, deployment.channel(server.port, "xdr", "email") as channel:
        asked = reflection_pb2.ServerReflectionRequest(list_services="*")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        names = {each.name for each in (await call.read()).list_services_response.service}
        assert {"quell.email.v1.UrlService", "quell.email.v1.MailboxService", "grpc.health.v1.Health"} <= names
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="quell.email.v1.UrlService")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        assert (await call.read()).file_descriptor_response.file_descriptor_proto


async def test_an_unknown_rpc_is_denied(deployment: Deployment) -> None:
    """Nothing that the contract does not know is let through."""
    async with served(deployment) as server, deployment.channel(server.port, "ann", "email") as channel:
        for path in ("/quell.email.v1.UrlService/Nothing", "/quell.Nothing/Nothing", "/x"):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await channel.unary_unary(path, request_serializer=bytes)(b"", timeout=5)
            assert refusal.value.code() in {StatusCode.PERMISSION_DENIED, StatusCode.UNIMPLEMENTED}


async def test_a_supervisor_on_this_machine_is_told_of_health_and_of_nothing_else(deployment: Deployment) -> None:
    """Without a certificate, on loopback only."""
    own = Server(Loopback(listen=addresses.parse("127.0.0.1:0")), ADMIN, deployment.name, People(deployment.people))
    async with served(deployment, own) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        found = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert found.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=5)
        assert refusal.value.code() is StatusCode.PERMISSION_DENIED


async def test_the_enrolment_listener_answers_enrolment_alone(deployment: Deployment) -> None:
    """Server TLS only; every other RPC is denied, health too."""
    own = Server(deployment.enrolment(), ENROLMENT, deployment.name, People(deployment.people))
    own.add(agent_service_pb2_grpc.add_AgentServiceServicer_to_server, Agents())  # type: ignore[abstract]
    bare = grpc.ssl_channel_credentials(deployment.ca.read_bytes())
    async with (
        served(deployment, own) as server,
        grpc.aio.secure_channel(f"127.0.0.1:{server.port}", bare, options=client.options("device")) as channel,
    ):
        request = agent_service_pb2.EnrolRequest(token="t", csr=b"c")  # noqa: S106 - a token for nothing
        request.enrolment.SetInParent()
        agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await agents.Enrol(request, timeout=5)
        assert refusal.value.code() in {StatusCode.UNIMPLEMENTED, StatusCode.INVALID_ARGUMENT}
        renewal = agent_service_pb2.RenewCertificateRequest(csr=b"c")
        checks = (
            agents.RenewCertificate(renewal, timeout=5),
            url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=5),
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5),
        )
        for call in checks:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call
            assert refusal.value.code() is StatusCode.PERMISSION_DENIED


class Agents(agent_service_pb2_grpc.AgentServiceServicer):
    """Serves nothing."""


async def test_a_taken_port_is_a_clear_error(deployment: Deployment) -> None:
    """It names the address."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Server(
            deployment.listener(listen=f"127.0.0.1:{port}"), API, deployment.name, People(deployment.people)
        )
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}"):
            await server.start()


async def test_draining_ends_calls_and_cuts_streams(deployment: Deployment) -> None:
    """A call under way is answered; a stream ends with a reason to open it again; health says so first."""
    async with served(deployment) as server, deployment.channel(server.port, "ann", "email") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stream = url_service_pb2_grpc.UrlServiceStub(channel).StreamCheckUrls()
        await stream.write(url_service_pb2.StreamCheckUrlsRequest(url="ok"))
        await stream.read()
        drained = asyncio.create_task(server.drain(settle_s=0.2, grace_s=5))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await stream.read()
        problem = client.problem(cut.value)
        assert (problem.code, problem.reason) == (StatusCode.UNAVAILABLE, "STOPPING")
        await asyncio.wait_for(drained, 3)


async def test_one_caller_has_a_quota_of_its_own(deployment: Deployment) -> None:
    """Whoever fills its own is refused, and others are served; what ended counts no longer."""
    limits = replace(API, calls_per_caller=2)
    own = Server(deployment.listener("email"), limits, deployment.name, People(deployment.people))
    async with served(deployment, own) as server, deployment.channel(server.port, "ann", "email") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        streams = [stub.StreamCheckUrls() for _ in range(2)]
        for stream in streams:
            await stream.write(url_service_pb2.StreamCheckUrlsRequest(url="ok"))
            await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CheckUrl(ASKED, timeout=5)
        assert client.problem(refusal.value).reason == "CALLER_BUSY"
        async with deployment.channel(server.port, "bob", "email") as other:
            await url_service_pb2_grpc.UrlServiceStub(other).CheckUrl(ASKED, timeout=5)
        for stream in streams:
            stream.cancel()

        async def served_again() -> bool:
            try:
                await stub.CheckUrl(ASKED, timeout=5)
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(served_again, bool)


async def test_calls_go_on_while_connections_grow_too_old(deployment: Deployment) -> None:
    """A connection ends in time for its certificate to be looked at again; no call is lost by it."""
    limits = replace(API, age=timedelta(milliseconds=200))
    own = Server(deployment.listener("email"), limits, deployment.name, People(deployment.people))
    async with served(deployment, own) as server, deployment.channel(server.port, "ann", "email") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        end = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < end:
            await asyncio.gather(*(stub.CheckUrl(ASKED, timeout=5) for _ in range(8)))


async def test_a_stream_that_its_caller_leaves_is_put_away_at_once(deployment: Deployment) -> None:
    """What the servicer has to let go of is let go of."""
    left = asyncio.Event()

    class Leaving(Urls):
        """Notes that a stream is over."""

        async def StreamCheckUrls(  # noqa: N802 - the contract's
            self, request_iterator: AsyncIterator[url_service_pb2.StreamCheckUrlsRequest], context: object
        ) -> AsyncIterator[url_service_pb2.StreamCheckUrlsResponse]:
            try:
                async for answer in super().StreamCheckUrls(request_iterator, context):
                    yield answer
            finally:
                left.set()

    server = deployment.server("email")
    server.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, Leaving())
    await server.start()
    try:
        async with deployment.channel(server.port, "ann", "email") as channel:
            stream = url_service_pb2_grpc.UrlServiceStub(channel).StreamCheckUrls()
            await stream.write(url_service_pb2.StreamCheckUrlsRequest(url="ok"))
            await stream.read()
            stream.cancel()
            await asyncio.wait_for(left.wait(), 5)
    finally:
        await server.drain(settle_s=0, grace_s=0)
