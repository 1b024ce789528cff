"""Ids that people shorten: found by what they begin with."""

import re

from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    action_service_pb2_grpc,
    investigation_service_pb2,
    investigation_service_pb2_grpc,
)

from quell_cli.connection import Connection
from quell_cli.session import TIMEOUT
from quell_runtime.errors import InvalidError, UnknownError

FULL = re.compile(r"actions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ActionUnknownError(UnknownError):
    """No action begins like this."""

    reason = "ACTION_UNKNOWN"


class AmbiguousError(InvalidError):
    """More than one begins like this."""

    reason = "ID_AMBIGUOUS"


async def action(connection: Connection, typed: str) -> action_pb2.Action:
    """Return the one action whose id begins as typed, with or without `actions/`.

    Raises:
        ActionUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
    prefix = f"actions/{typed.removeprefix('actions/').lower()}"
    if FULL.fullmatch(prefix):
        answer = await stub.GetAction(action_service_pb2.GetActionRequest(name=prefix), timeout=TIMEOUT)
        return answer.action
    # Ids are hex digits and dashes, which all sort before `g`.
    request = action_service_pb2.ListActionsRequest(
        filter=f'name >= "{prefix}" AND name < "{prefix}g"', page_size=2, order_by="name"
    )
    found = (await stub.ListActions(request, timeout=TIMEOUT)).actions
    if not found:
        raise ActionUnknownError(f"no action begins with {prefix}")
    if len(found) > 1:
        raise AmbiguousError(f"several actions begin with {prefix}")
    return found[0]


async def investigation(connection: Connection, typed: str) -> str:
    """Return the name of an investigation: as typed, or the one of any detector with that id."""
    if "." in typed or "/" in typed:
        return f"investigations/{typed.removeprefix('investigations/')}"
    stub = connection.stub("actioncenter", investigation_service_pb2_grpc.InvestigationServiceStub)
    request = investigation_service_pb2.ListInvestigationsRequest(page_size=1000)
    found = (await stub.ListInvestigations(request, timeout=TIMEOUT)).investigations
    names = [each.name for each in found if each.name.partition(".")[2].startswith(typed)]
    if len(names) != 1:
        raise AmbiguousError(f"{len(names)} investigations begin with {typed}")
    return names[0]
