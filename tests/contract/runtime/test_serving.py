"""What stands around a process's listeners: numbers, a supervisor's health, one line when it is ready."""

import socket

import grpc
import httpx
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

from deployment import Deployment
from house import free_ports
from quell_runtime import addresses
from quell_runtime.config import Loopback, Settings
from quell_runtime.errors import PortTakenError
from quell_runtime.people import People
from quell_runtime.server import API, Server, serving
from urls import SECRET, Urls


@pytest.fixture
def settings(deployment: Deployment) -> Settings:
    """Return a configuration with everything in it, on ports that were free a moment ago."""
    admin = free_ports(2)
    return Settings(
        deployment=deployment.name,
        data=deployment.folder,
        people=deployment.people,
        api=deployment.listener("email"),
        admin=Loopback(listen=addresses.parse(f"127.0.0.1:{admin}")),
        metrics=Loopback(listen=addresses.parse(f"127.0.0.1:{admin + 1}")),
        drain_s=0,
    )


async def test_a_process_tells_that_it_is_ready_how_it_is_and_what_it_did(
    deployment: Deployment, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Calls are counted by method and code; the log has what the caller is not told, under the same reference."""
    people = People(settings.people)
    api = Server(settings.api, API, settings.deployment, people)
    api.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, Urls())
    assert settings.admin is not None
    assert settings.metrics is not None
    with structlog.testing.capture_logs() as logged:
        async with serving(settings, people, api):
            assert capfd.readouterr().out.splitlines()[-1] == "ready"
            async with grpc.aio.insecure_channel(str(settings.admin.listen)) as supervisor:
                asked = health_pb2.HealthCheckRequest()
                found = await health_pb2_grpc.HealthStub(supervisor).Check(asked, timeout=5)
                assert found.status == health_pb2.HealthCheckResponse.SERVING
            async with deployment.channel(api.port, "ann", "email") as channel:
                stub = url_service_pb2_grpc.UrlServiceStub(channel)
                await stub.CheckUrl(url_service_pb2.CheckUrlRequest(url="ok"), timeout=5)
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await stub.CheckUrl(url_service_pb2.CheckUrlRequest(url="broken"), timeout=5)
            async with httpx.AsyncClient() as http:
                numbers = (await http.get(f"http://{settings.metrics.listen}/metrics")).text
    assert 'quell_rpcs_total{code="OK",method="quell.email.v1.UrlService.CheckUrl"}' in numbers
    assert 'quell_rpcs_total{code="INTERNAL",method="quell.email.v1.UrlService.CheckUrl"}' in numbers
    (failed,) = [line for line in logged if line["event"] == "rpc_failed"]
    assert failed["reference"] in str(refusal.value.details())
    assert SECRET in str(failed["exc_info"])


async def test_a_taken_port_of_any_listener_is_a_clear_error_and_leaves_none_open(
    deployment: Deployment, settings: Settings
) -> None:
    """The one for numbers too."""
    assert settings.metrics is not None
    people = People(settings.people)
    for section in (settings.metrics, settings.admin):
        assert section is not None
        api = Server(settings.api, API, deployment.name, people)
        taken = socket.create_server((section.listen.host, section.listen.port))
        with taken, pytest.raises(PortTakenError, match=str(section.listen)):
            async with serving(settings, people, api):
                pytest.fail("it must not be ready")
