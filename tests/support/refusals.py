"""The tables of refusals: who asks what after which scenario, and the code and reason of the answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from google.protobuf.message import Message
from grpc import StatusCode as Code

from center_house import POLICY, House
from center_requests import Center
from quell_actioncenter.store.tables import EXECUTORS

Meanwhile = Callable[[House], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def as_usual(_house: House) -> AsyncIterator[None]:
    """Change nothing."""
    yield


@asynccontextmanager
async def executor_away(house: House) -> AsyncIterator[None]:
    """Have nobody reach the executor."""
    await house.within(house.executor_goes())
    yield
    await house.within(house.executor_comes())


@asynccontextmanager
async def kind_lacking(house: House) -> AsyncIterator[None]:
    """Have the executor offer nothing, as far as the centre knows."""
    store = house.served.store
    (before,) = await house.within(store.select(EXECUTORS))
    await house.within(store.change(lambda view: view.put(EXECUTORS, replace(before, kinds=()))))
    yield
    await house.within(store.change(lambda view: view.put(EXECUTORS, before)))


@asynccontextmanager
async def every_host_excluded(house: House) -> AsyncIterator[None]:
    """Have a policy that forbids every URL."""
    await house.within(house.served.center.policies.load(POLICY.replace("quell.example", "*")))
    yield
    await house.within(house.served.center.policies.load(POLICY))


@dataclass(frozen=True)
class Bearing:
    """A request with tokens of people in its metadata."""

    request: Message
    tokens: Sequence[str]


Asked = Message | Sequence[Message] | Bearing
Scenario = Callable[[Center], Awaitable[Asked]]


@dataclass(frozen=True)
class Refusal:
    """One line of the table."""

    method: str
    code: Code
    reason: str
    scenario: Scenario
    who: str
    field: str
    meanwhile: Meanwhile

    def __str__(self) -> str:
        """Name it in the report."""
        return f"{self.method}-{self.reason}-{self.scenario.__name__}"


TABLE: list[Refusal] = []


def refuses(
    method: str,
    code: Code,
    reason: str,
    who: str = "ann",
    field: str = "",
    *,
    meanwhile: Meanwhile = as_usual,
) -> Callable[[Scenario], Scenario]:
    """Put a scenario into the table. `meanwhile`: how the house is during the call."""

    def note(scenario: Scenario) -> Scenario:
        TABLE.append(Refusal(method, code, reason, scenario, who, field, meanwhile))
        return scenario

    return note


def always(method: str, code: Code, reason: str, request: Message | Sequence[Message], who: str = "ann") -> None:
    """Put into the table what is refused whatever happened before."""

    async def as_it_is(_center: Center) -> Message | Sequence[Message]:
        return request

    TABLE.append(Refusal(method, code, reason, as_it_is, who, "", as_usual))
