"""Ids that people shorten: found by what they begin with. One that is given whole is never ambiguous."""

from collections.abc import Sequence

from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    action_service_pb2_grpc,
    investigation_service_pb2,
    investigation_service_pb2_grpc,
)
from quell.device.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    device_pb2,
    fleet_service_pb2,
    fleet_service_pb2_grpc,
    stored_artifact_pb2,
)
from quell.email.v1 import quarantine_service_pb2, quarantine_service_pb2_grpc

from quell_cli.connection import Connection
from quell_cli.session import TIMEOUT
from quell_runtime.errors import InvalidError, UnknownError

LOOKED_AT = 1000
AFTER = "\x7f"
"""Sorts after whatever may stand in an id."""


class ActionUnknownError(UnknownError):
    """No action begins like this."""

    reason = "ACTION_UNKNOWN"


class InvestigationUnknownError(UnknownError):
    """No investigation begins like this."""

    reason = "INVESTIGATION_UNKNOWN"


class DeviceUnknownError(UnknownError):
    """No device begins like this."""

    reason = "DEVICE_UNKNOWN"


class ArtifactUnknownError(UnknownError):
    """No artifact begins like this."""

    reason = "ARTIFACT_UNKNOWN"


class QuarantinedMessageUnknownError(UnknownError):
    """No message in quarantine begins like this."""

    reason = "QUARANTINED_MESSAGE_UNKNOWN"


class AmbiguousError(InvalidError):
    """More than one begins like this."""

    reason = "ID_AMBIGUOUS"


async def artifact(connection: Connection, typed: str) -> stored_artifact_pb2.StoredArtifact:
    """Return the one artifact whose id begins as typed, with or without `artifacts/`.

    Raises:
        ArtifactUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("device", artifact_service_pb2_grpc.ArtifactServiceStub)
    prefix = _prefix("artifacts/", typed.lower())
    request = artifact_service_pb2.ListArtifactsRequest(filter=_beginning(prefix), order_by="name", page_size=2)
    found = {each.artifact.name: each for each in (await stub.ListArtifacts(request, timeout=TIMEOUT)).artifacts}
    return found[_only(list(found), prefix, ArtifactUnknownError)]


async def quarantined_message(connection: Connection, typed: str) -> str:
    """Return the name of the one quarantined message whose id begins as typed, with or without its collection.

    Raises:
        QuarantinedMessageUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("email", quarantine_service_pb2_grpc.QuarantineServiceStub)
    prefix = _prefix("quarantinedMessages/", typed)
    request = quarantine_service_pb2.ListQuarantinedMessagesRequest(
        filter=_beginning(prefix), order_by="name", page_size=2
    )
    found = (await stub.ListQuarantinedMessages(request, timeout=TIMEOUT)).messages
    return _only([each.name for each in found], prefix, QuarantinedMessageUnknownError)


async def action(connection: Connection, typed: str) -> action_pb2.Action:
    """Return the one action whose id begins as typed, with or without `actions/`.

    Raises:
        ActionUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
    prefix = _prefix("actions/", typed.lower())
    request = action_service_pb2.ListActionsRequest(filter=_beginning(prefix), order_by="name", page_size=2)
    found = {each.name: each for each in (await stub.ListActions(request, timeout=TIMEOUT)).actions}
    return found[_only(list(found), prefix, ActionUnknownError)]


async def device(connection: Connection, typed: str) -> device_pb2.Device:
    """Return the one device whose id, or else whose host name, begins as typed.

    Raises:
        DeviceUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("device", fleet_service_pb2_grpc.FleetServiceStub)
    prefix = _prefix("devices/", typed.lower())
    host = _beginning(typed.removeprefix("devices/").lower(), "host_name")
    for condition in (_beginning(prefix), host):
        request = fleet_service_pb2.ListDevicesRequest(filter=condition, order_by="name", page_size=2)
        found = {each.name: each for each in (await stub.ListDevices(request, timeout=TIMEOUT)).devices}
        if found:
            return found[_only(list(found), prefix, DeviceUnknownError)]
    raise DeviceUnknownError(f"no device begins with {prefix}, and none has such a host name")


async def investigation(connection: Connection, typed: str) -> str:
    """Return the name of the one investigation that begins as typed, its detector given (`edr.case-1`) or not.

    Raises:
        InvestigationUnknownError: There is none.
        AmbiguousError: There are several.

    """
    stub = connection.stub("actioncenter", investigation_service_pb2_grpc.InvestigationServiceStub)
    prefix = _prefix("investigations/", typed)
    request = investigation_service_pb2.ListInvestigationsRequest(
        filter=_beginning(prefix), order_by="name", page_size=2
    )
    found = (await stub.ListInvestigations(request, timeout=TIMEOUT)).investigations
    if found:
        return _only([each.name for each in found], prefix, InvestigationUnknownError)
    # Detectors' names come first, so ids alone are looked for among the newest.
    request = investigation_service_pb2.ListInvestigationsRequest(page_size=LOOKED_AT)
    newest = (await stub.ListInvestigations(request, timeout=TIMEOUT)).investigations
    ids = {each.name.partition(".")[2]: each.name for each in newest if each.name.partition(".")[2].startswith(typed)}
    return ids[_only(list(ids), typed, InvestigationUnknownError)]


def _prefix(collection: str, typed: str) -> str:
    return collection + typed.removeprefix(collection)


def _beginning(prefix: str, field: str = "name") -> str:
    """Return the filter for what begins so."""
    quoted = prefix.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field} >= "{quoted}" AND {field} < "{quoted}{AFTER}"'


def _only(names: Sequence[str], typed: str, unknown: type[UnknownError]) -> str:
    if typed in names:
        return typed
    if not names:
        raise unknown(f"nothing begins with {typed}")
    if len(names) > 1:
        raise AmbiguousError(f"several begin with {typed}")
    return names[0]
