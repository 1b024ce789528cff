"""UrlService: the check of URLs for people and mail filters."""

from collections.abc import AsyncIterator

import grpc.aio
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

from quell_email.api.checking import check
from quell_email.domain.errors import UrlInvalidError
from quell_email.store.urls import UrlTable


class UrlServicer(url_service_pb2_grpc.UrlServiceServicer):
    """Answers from memory; it waits for nothing."""

    def __init__(self, urls: UrlTable) -> None:
        """Check against this table."""
        self._urls = urls

    async def CheckUrl(  # noqa: N802 - the contract's name; the stubs know the sync API only
        self, request: url_service_pb2.CheckUrlRequest, _context: object
    ) -> url_service_pb2.CheckUrlResponse:
        """Check one."""
        found = check(self._urls, request.url)
        if found.answer == url_service_pb2.URL_ANSWER_INVALID:
            raise UrlInvalidError("it is no absolute URL of the web: not to be followed", "url")
        return url_service_pb2.CheckUrlResponse(check=found)

    async def StreamCheckUrls(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[url_service_pb2.StreamCheckUrlsRequest],
        _context: grpc.aio.ServicerContext[
            url_service_pb2.StreamCheckUrlsRequest, url_service_pb2.StreamCheckUrlsResponse
        ],
    ) -> AsyncIterator[url_service_pb2.StreamCheckUrlsResponse]:
        """Check them as they come."""
        async for request in request_iterator:
            yield url_service_pb2.StreamCheckUrlsResponse(check=check(self._urls, request.url))
