"""Every RPC's table of refusals: exact code and reason, nothing stored, nothing done; and it is what the contract says.

A line of the table is a scenario: what happens before, and the request that is refused.
"""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

import refusals_of_actions
import refusals_of_asking
import refusals_of_investigations
import refusals_of_the_rest
from center_house import House
from center_requests import SOON, Center
from promised_errors import promised
from quell_runtime import client
from quell_runtime.own_keys import METADATA
from refusals import TABLE, Bearing, Refusal

__all__ = [
    "refusals_of_actions",
    "refusals_of_asking",
    "refusals_of_investigations",
    "refusals_of_the_rest",
]

UNSERVED = {
    ("RetryAction", "FAILED_PRECONDITION", "TARGET_UNRESOLVED"): "it takes a device that has left",
}


@pytest.mark.parametrize("refusal", TABLE, ids=str)
async def test_what_is_refused_says_why_and_changes_nothing(
    aio_stub: Callable[[str], Any], house: House, refusal: Refusal
) -> None:
    """The exact code and reason; what is kept, and the world, are as before."""
    request = await refusal.scenario(Center(aio_stub))
    await house.settled()
    async with refusal.meanwhile(house):
        before = house.kept(), set(house.mail.changed)
        metadata = [(METADATA, token) for token in request.tokens] if isinstance(request, Bearing) else []
        asked = request.request if isinstance(request, Bearing) else request
        call = getattr(aio_stub(refusal.who), refusal.method)(asked, timeout=SOON, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await (call if hasattr(call, "__await__") else call.read())
        after = house.kept(), set(house.mail.changed)
    problem = client.problem(refused.value)
    assert (problem.code, problem.reason) == (refusal.code, refusal.reason), problem
    assert not refusal.field or refusal.field in [name for name, _ in problem.violations], problem
    assert after == before


def test_the_table_is_what_the_contract_says() -> None:
    """Each reason of the `Errors:` lines is provoked, but for what is not served yet; and no other is answered."""
    of_every_rpc = {"FIELD_INVALID", "INVALID", "NOT_SERVED_YET"}
    provoked = {(each.method, each.code.name, each.reason) for each in TABLE if each.reason not in of_every_rpc}
    assert provoked | UNSERVED.keys() == promised("actioncenter/v1")
    assert not provoked & UNSERVED.keys()
