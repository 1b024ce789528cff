"""UrlService: the check of URLs for people and mail filters, and what is known of entries and clicks."""

from collections.abc import AsyncIterator, Mapping

import grpc.aio
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

from quell_email.api.checking import check
from quell_email.domain.errors import UrlInvalidError
from quell_email.store.clicks import ANSWERS, CLICKS, Click
from quell_email.store.urls import BLOCKED, BlockedUrl, UrlTable
from quell_runtime.listing import filters
from quell_runtime.listing.fields import COMPARISON, Field, choice, count, text, time
from quell_runtime.listing.paging import Listing, order_of, size_of
from quell_runtime.seams import stamp

PAGE = 50
_PATTERN: Field[BlockedUrl] = text("pattern", ordered_by=True)
_ID: Field[Click] = Field("id", int, lambda click: click.id, COMPARISON)
BLOCKED_FIELDS: Mapping[str, Field[BlockedUrl]] = {
    "pattern": _PATTERN,
    "action": Field("action", lambda word: word.removeprefix("actions/"), lambda entry: entry.action),
    "create_time": time("create_time", ordered_by=True),
    "hit_count": count("hit_count"),
}
"""What entries can be filtered and ordered by."""
CLICK_FIELDS: Mapping[str, Field[Click]] = {
    "click_time": time("click_time", ordered_by=True),
    "answer": choice("answer", {answer.name: answer.value for answer in ANSWERS.values()}),
    "pattern": text("pattern"),
    "action": Field("action", lambda word: word.removeprefix("actions/"), lambda click: click.action),
    "recipient": text("recipient"),
}
"""What clicks can be filtered and ordered by."""
_ANSWER = {answer: number for number, answer in ANSWERS.items()}


class UrlServicer(url_service_pb2_grpc.UrlServiceServicer):
    """Answers checks from memory, waiting for nothing, and lists from the store."""

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

    async def ListBlockedUrls(  # noqa: N802 - the contract's name
        self, request: url_service_pb2.ListBlockedUrlsRequest, _context: object
    ) -> url_service_pb2.ListBlockedUrlsResponse:
        """List entries."""
        order = order_of(request.order_by, BLOCKED_FIELDS, "create_time desc", _PATTERN)
        listing = Listing(BLOCKED, filters.parse(request.filter, BLOCKED_FIELDS), order)
        found, token = await listing.page(self._urls.store, size_of(request.page_size, PAGE), request.page_token)
        total = await listing.total(self._urls.store)
        return url_service_pb2.ListBlockedUrlsResponse(
            blocked_urls=map(_entry, found), next_page_token=token, total_size=total
        )

    async def ListClicks(  # noqa: N802 - the contract's name
        self, request: url_service_pb2.ListClicksRequest, _context: object
    ) -> url_service_pb2.ListClicksResponse:
        """List clicks."""
        order = order_of(request.order_by, CLICK_FIELDS, "click_time desc", _ID)
        listing = Listing(CLICKS, filters.parse(request.filter, CLICK_FIELDS), order)
        found, token = await listing.page(self._urls.store, size_of(request.page_size, PAGE), request.page_token)
        total = await listing.total(self._urls.store)
        return url_service_pb2.ListClicksResponse(clicks=map(_click, found), next_page_token=token, total_size=total)


def _entry(entry: BlockedUrl) -> url_service_pb2.BlockedUrl:
    return url_service_pb2.BlockedUrl(
        pattern=entry.pattern,
        action=f"actions/{entry.action}",
        create_time=stamp(entry.create_time),
        hit_count=entry.hit_count,
        last_hit_time=stamp(entry.last_hit_time) if entry.last_hit_time else None,
    )


def _click(click: Click) -> url_service_pb2.Click:
    return url_service_pb2.Click(
        click_time=stamp(click.click_time),
        url=click.url,
        answer=url_service_pb2.UrlAnswer.ValueType(_ANSWER[click.answer]),
        pattern=click.pattern,
        action=f"actions/{click.action}" if click.action else "",
        recipient=click.recipient,
    )
