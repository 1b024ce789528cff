"""Requests are as their contract says before a servicer sees them."""

from collections.abc import AsyncIterator
from typing import TypeVar

import protovalidate
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from protovalidate import FieldPathElementPb, Violation

from quell_runtime import times
from quell_runtime.errors import InvalidError

M = TypeVar("M", bound=Message)
TOLD = 10
"""How many violations are told; more would not fit into the metadata of an answer."""
LONGEST = 200
"""How many characters of a path, and of what is wrong with it, are told."""


class FieldsInvalidError(InvalidError):
    """Fields of a request are not as the contract says; `violations` tells them by path."""

    reason = "FIELD_INVALID"

    def __init__(self, violations: list[error_details_pb2.BadRequest.FieldViolation]) -> None:
        """Keep them."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}", first.field)
        self.violations = violations[:TOLD]


def check(message: Message) -> None:
    """Hold a message against its contract.

    Raises:
        FieldsInvalidError: It is not so.

    """
    if found := protovalidate.collect_violations(message):
        raise FieldsInvalidError([_told(violation) for violation in found])
    if path := times.impossible(message):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=path[:LONGEST], description="there is no such time", reason="timestamp.valid"
        )
        raise FieldsInvalidError([violation])


async def checked(messages: AsyncIterator[M]) -> AsyncIterator[M]:
    """Hand on the messages of a stream, each once it has been held against its contract."""
    async for message in messages:
        check(message)
        yield message


def _told(violation: Violation) -> error_details_pb2.BadRequest.FieldViolation:
    elements = violation.proto.field.elements if violation.proto.field else ()
    path = ".".join(_step(element) for element in elements)
    return error_details_pb2.BadRequest.FieldViolation(
        field=path[:LONGEST], description=violation.proto.message[:LONGEST], reason=violation.proto.rule_id
    )


def _step(element: FieldPathElementPb) -> str:
    subscript = element.subscript
    return element.field_name if subscript is None else f"{element.field_name}[{subscript.value}]"
