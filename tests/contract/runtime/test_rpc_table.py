"""An RPC answers its whole table of cases: pytest-grpc's fixtures, on grpc.aio and mutual TLS."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

from grpc_fixtures import Case, answers
from urls import SECRET, Urls


@pytest.fixture(scope="module")
def grpc_servicer() -> object:
    """Serve this, made in the server's own loop."""

    @asynccontextmanager
    async def made() -> AsyncIterator[Urls]:
        yield Urls()

    return made()


@pytest.fixture(scope="module")
def grpc_add_to_server() -> object:
    """Register it so."""
    return url_service_pb2_grpc.add_UrlServiceServicer_to_server


@pytest.fixture(scope="module")
def grpc_stub_cls() -> object:
    """Call it so."""
    return url_service_pb2_grpc.UrlServiceStub


def check(url: str) -> url_service_pb2.CheckUrlRequest:
    """Return a request."""
    return url_service_pb2.CheckUrlRequest(url=url)


TABLE = [
    Case("CheckUrl", check("https://ok.example/")),
    Case("CheckUrl", check("https://ok.example/"), who="clicks"),
    Case("CheckUrl", check(""), StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", "url"),
    Case("CheckUrl", check("x" * 8193), StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", "url"),
    Case("CheckUrl", check("x" * (5 << 20)), StatusCode.RESOURCE_EXHAUSTED),
    Case("CheckUrl", check("ok"), StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED", timeout=None),
    Case("CheckUrl", check("ok"), StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED", timeout=90),
    Case("CheckUrl", check("closed"), StatusCode.FAILED_PRECONDITION, "CLOSED"),
    Case("CheckUrl", check("broken"), StatusCode.INTERNAL, "INTERNAL"),
    Case("CheckUrl", check("slow"), StatusCode.DEADLINE_EXCEEDED, timeout=0.3),
    Case("CheckUrl", check("ok"), StatusCode.PERMISSION_DENIED, "NOT_PERMITTED", who="xdr"),
    Case("CheckUrl", check("ok"), StatusCode.PERMISSION_DENIED, "NOT_PERMITTED", who="actioncenter"),
]


@pytest.mark.parametrize("case", TABLE, ids=str)
async def test_every_case_is_answered_as_the_table_says(aio_stub: Callable[[str], Any], case: Case) -> None:
    """Exact code, exact reason, and the field by its path."""
    await answers(aio_stub, case)


async def test_the_servicer_learns_the_identity_and_the_person_behind_it(aio_stub: Callable[[str], Any]) -> None:
    """Both come from the certificate."""
    found = await aio_stub("ann").CheckUrl(check("ok"), timeout=5)
    assert found.check.canonical_url == "spiffe://example/operator/ann ann"
    found = await aio_stub("clicks").CheckUrl(check("ok"), timeout=5)
    assert found.check.canonical_url == "spiffe://example/mail-filter/clicks -"


async def test_no_text_of_an_exception_reaches_the_caller(aio_stub: Callable[[str], Any]) -> None:
    """Only a reference does, whether one message was asked for or many."""
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await aio_stub("ann").CheckUrl(check("broken"), timeout=5)
    stream = aio_stub("ann").StreamCheckUrls(iter([url_service_pb2.StreamCheckUrlsRequest(url="broken")]))
    with pytest.raises(grpc.aio.AioRpcError) as streamed:
        await stream.read()
    for error in (unary.value, streamed.value):
        assert error.code() is StatusCode.INTERNAL
        assert SECRET not in str(error)
        assert SECRET.encode() not in b"".join(
            value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata()
        )


async def test_each_message_of_a_stream_is_held_against_the_contract(aio_stub: Callable[[str], Any]) -> None:
    """A good one is answered; a bad one ends the stream and is named. A stream needs no deadline."""
    stream = aio_stub("ann").StreamCheckUrls()
    await stream.write(url_service_pb2.StreamCheckUrlsRequest(url="ok"))
    assert (await stream.read()).check.canonical_url.endswith(" ann")
    await stream.write(url_service_pb2.StreamCheckUrlsRequest(url=""))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stream.read()
    assert refusal.value.code() is StatusCode.INVALID_ARGUMENT
    assert "url: " in (refusal.value.details() or "")


def test_a_sync_client_is_served_too(grpc_stub: url_service_pb2_grpc.UrlServiceStub) -> None:
    """pytest-grpc's own stub works on it."""
    assert grpc_stub.CheckUrl(check("ok"), timeout=5).check.canonical_url.endswith(" ann")
