"""The real grpcurl finds, describes and calls what a listener serves, with a person's certificate and nothing else."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.email.v1 import url_service_pb2_grpc

from deployment import Deployment
from urls import Urls

GRPCURL = Path(sys.executable).parent / "grpcurl"
pytestmark = pytest.mark.skipif(not GRPCURL.exists(), reason="grpcurl is not installed")


@pytest.fixture
async def port(deployment: Deployment) -> AsyncIterator[int]:
    """Serve."""
    server = deployment.server("email")
    server.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, Urls())
    await server.start()
    yield server.port
    await server.drain(settle_s=0, grace_s=0)


async def grpcurl(deployment: Deployment, port: int, *words: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
    """Run it as ann, and return what it printed."""
    files = deployment.credentials("ann")
    identity = ("-cacert", str(files.ca), "-cert", str(files.certificate), "-key", str(files.key))
    process = await asyncio.create_subprocess_exec(
        GRPCURL,
        *(*identity, *options, f"127.0.0.1:{port}", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return out.decode(), err.decode()


async def test_services_are_listed_described_and_called(deployment: Deployment, port: int) -> None:
    """By reflection, on the address with the certificate's own names."""
    out, err = await grpcurl(deployment, port, "list")
    assert "quell.email.v1.UrlService" in out, err
    out, err = await grpcurl(deployment, port, "describe", "quell.email.v1.UrlService")
    assert "rpc CheckUrl" in out, err
    out, err = await grpcurl(deployment, port, "describe", "quell.email.v1.UrlService.CheckUrl")
    assert "rpc CheckUrl" in out, err
    body = ("-d", '{"url": "ok"}', "-max-time", "10")
    out, err = await grpcurl(deployment, port, "quell.email.v1.UrlService/CheckUrl", options=body)
    (who,) = json.loads(out)["check"].values()
    assert who == "spiffe://example/operator/ann ann", err


async def test_a_refusal_says_what_to_do(deployment: Deployment, port: int) -> None:
    """Without a deadline it names the option; a wrong field is named by its path."""
    out, err = await grpcurl(deployment, port, "quell.email.v1.UrlService/CheckUrl", options=("-d", '{"url": "ok"}'))
    assert "InvalidArgument" in err, out
    assert "-max-time" in err
    body = ("-d", "{}", "-max-time", "10")
    out, err = await grpcurl(deployment, port, "quell.email.v1.UrlService/CheckUrl", options=body)
    assert "url: must be at least 1 characters" in err, out
