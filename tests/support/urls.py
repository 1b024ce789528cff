"""A small service of the contracts for tests of the shell: what it answers is written in the URL that it is asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from typing_extensions import override

from quell_runtime import identity, people
from quell_runtime.errors import NotServedError, StateError

SECRET = "the password is swordfish"  # noqa: S105 - what must never come out


class ClosedError(StateError):
    """It is closed, as the URL says."""

    reason = "CLOSED"


class Urls(url_service_pb2_grpc.UrlServiceServicer):
    """Answers with who asks; fails, waits or ends as the URL says."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self.asked = asyncio.Event()

    @override
    async def CheckUrl(
        self, request: url_service_pb2.CheckUrlRequest, context: Any
    ) -> url_service_pb2.CheckUrlResponse:
        self.asked.set()
        match request.url:
            case "broken":
                raise RuntimeError(SECRET)
            case "closed":
                raise ClosedError("it is closed", state="CLOSED")
            case "slow":
                await asyncio.sleep(30)
        return url_service_pb2.CheckUrlResponse(check=url_service_pb2.UrlCheck(canonical_url=_who()))

    @override
    async def StreamCheckUrls(
        self, request_iterator: AsyncIterator[url_service_pb2.StreamCheckUrlsRequest], context: Any
    ) -> AsyncIterator[url_service_pb2.StreamCheckUrlsResponse]:
        async for request in request_iterator:
            if request.url == "broken":
                raise RuntimeError(SECRET)
            self.asked.set()
            yield url_service_pb2.StreamCheckUrlsResponse(check=url_service_pb2.UrlCheck(canonical_url=_who()))

    @override
    async def ListBlockedUrls(self, request: Any, context: Any) -> Any:
        raise NotServedError("only checks are answered here")

    @override
    async def ListClicks(self, request: Any, context: Any) -> Any:
        raise NotServedError("only checks are answered here")


def _who() -> str:
    person = people.person()
    return f"{identity.caller()} {person.name if person else '-'}"
