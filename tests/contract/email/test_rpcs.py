"""Every RPC of the email service: what it answers, and to whom."""

from collections.abc import Iterator

import grpc
import pytest
from quell.email.v1 import (
    url_service_pb2,
    url_service_pb2_grpc,
)

from email_house import EmailHouse
from quell_runtime.client import problem

CHECK = url_service_pb2.CheckUrlRequest(url="https://good.example/a?b#c")


@pytest.mark.parametrize("who", ["ann", "carol", "clicks"])
async def test_people_and_mail_filters_may_check(house: EmailHouse, who: str) -> None:
    """One URL, in its canonical form."""
    async with house.channel(who) as channel:
        answer = await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(CHECK, timeout=10)
    assert answer.check == url_service_pb2.UrlCheck(
        answer=url_service_pb2.URL_ANSWER_ALLOWED, canonical_url="good.example/a?b"
    )


@pytest.mark.parametrize(
    ("who", "request_", "code", "reason"),
    [
        ("ann", url_service_pb2.CheckUrlRequest(url="good.example"), "INVALID_ARGUMENT", "URL_INVALID"),
        ("ann", url_service_pb2.CheckUrlRequest(url="javascript:alert(1)"), "INVALID_ARGUMENT", "URL_INVALID"),
        ("ann", url_service_pb2.CheckUrlRequest(), "INVALID_ARGUMENT", "FIELD_INVALID"),
        (
            "ann",
            url_service_pb2.CheckUrlRequest(url="https://a.example/" + "a" * 9000),
            "INVALID_ARGUMENT",
            "FIELD_INVALID",
        ),
        ("xdr", CHECK, "PERMISSION_DENIED", "NOT_PERMITTED"),
    ],
)
async def test_a_wrong_check_has_its_code_and_reason(
    house: EmailHouse, who: str, request_: url_service_pb2.CheckUrlRequest, code: str, reason: str
) -> None:
    """As the contract says."""
    async with house.channel(who) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(request_, timeout=10)
    found = problem(refusal.value)
    assert (found.code, found.reason) == (grpc.StatusCode[code], reason)


async def test_a_stream_answers_each_in_order_and_no_bad_one_ends_it(house: EmailHouse) -> None:
    """What is no URL is answered INVALID."""
    asked = ["https://a.example/", "no url", "https://b.example/"] * 100

    def requests() -> Iterator[url_service_pb2.StreamCheckUrlsRequest]:
        for url in asked:
            yield url_service_pb2.StreamCheckUrlsRequest(url=url)

    async with house.channel("clicks") as channel:
        call = url_service_pb2_grpc.UrlServiceStub(channel).StreamCheckUrls(requests())
        answers = [answer.check.canonical_url async for answer in call]
    assert answers == ["a.example/", "", "b.example/"] * 100
