"""The tables of refusals: who asks what after which scenario, and the code and reason of the answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from grpc import StatusCode as Code

from center_requests import Center

Scenario = Callable[[Center], Awaitable[Message | Sequence[Message]]]


@dataclass(frozen=True)
class Refusal:
    """One line of the table."""

    method: str
    code: Code
    reason: str
    scenario: Scenario
    who: str
    field: str
    away: bool

    def __str__(self) -> str:
        """Name it in the report."""
        return f"{self.method}-{self.reason}-{self.scenario.__name__}"


TABLE: list[Refusal] = []


def refuses(
    method: str, code: Code, reason: str, who: str = "ann", field: str = "", *, away: bool = False
) -> Callable[[Scenario], Scenario]:
    """Put a scenario into the table. `away`: the executor can't be reached meanwhile."""

    def note(scenario: Scenario) -> Scenario:
        TABLE.append(Refusal(method, code, reason, scenario, who, field, away))
        return scenario

    return note


def always(method: str, code: Code, reason: str, request: Message | Sequence[Message], who: str = "ann") -> None:
    """Put into the table what is refused whatever happened before."""

    async def as_it_is(_center: Center) -> Message | Sequence[Message]:
        return request

    TABLE.append(Refusal(method, code, reason, as_it_is, who, "", away=False))
