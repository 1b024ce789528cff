"""The one table from our errors to codes, and how an answer says more than its code."""

import secrets
from collections.abc import Mapping

import grpc
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from quell_runtime import errors
from quell_runtime.interceptors.call import Call
from quell_runtime.interceptors.validation import LONGEST, TOLD, FieldsInvalidError

DOMAIN = "quell"
LONGEST_MESSAGE = 1000
LONGEST_FACT = 200
CODES: Mapping[type[errors.QuellError], grpc.StatusCode] = {
    errors.InvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnknownError: grpc.StatusCode.NOT_FOUND,
    errors.TakenError: grpc.StatusCode.ALREADY_EXISTS,
    errors.StateError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ChangedError: grpc.StatusCode.ABORTED,
    errors.CommitUnknownError: grpc.StatusCode.ABORTED,
    errors.ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    errors.IdentityError: grpc.StatusCode.UNAUTHENTICATED,
    errors.AwayError: grpc.StatusCode.UNAVAILABLE,
    errors.FullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RangeError: grpc.StatusCode.OUT_OF_RANGE,
    errors.DamagedError: grpc.StatusCode.DATA_LOSS,
    errors.NotServedError: grpc.StatusCode.UNIMPLEMENTED,
}

_log = structlog.get_logger()


def status_of(error: Exception) -> status_pb2.Status:
    """Return what the caller is told. Of an error that is none of ours it learns a reference only; the log has it."""
    if isinstance(error, errors.QuellError):
        return _told(error)
    if isinstance(error, grpc.aio.AioRpcError) and (passed_on := _relayed(error)):
        return passed_on
    reference = secrets.token_hex(8)
    _log.error("rpc_failed", reference=reference, exc_info=error)
    message = f"something went wrong here; the log has it under {reference}"
    return _status(grpc.StatusCode.INTERNAL, message, "INTERNAL", {"reference": reference})


def _told(error: errors.QuellError) -> status_pb2.Status:
    code = next((CODES[each] for each in type(error).__mro__ if each in CODES), grpc.StatusCode.FAILED_PRECONDITION)
    details: list[Message] = []
    if isinstance(error, FieldsInvalidError):
        details.append(error_details_pb2.BadRequest(field_violations=error.violations))
    elif isinstance(error, errors.InvalidError) and error.field:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=error.field[:LONGEST], description=each[:LONGEST], reason=error.reason
            )
            for each in error.descriptions[:TOLD]
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    _log.info("rpc_refused", code=code.name, reason=error.reason, message=error.message, **_prefixed(error.metadata))
    return _status(code, error.message, error.reason, error.metadata, *details)


def _prefixed(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"about_{key}": value for key, value in metadata.items()}


def _status(
    code: grpc.StatusCode, message: str, reason: str, metadata: Mapping[str, str], *details: Message
) -> status_pb2.Status:
    """Return a status that fits into the metadata of an answer: beyond 8 KiB a client sees another error."""
    facts = {key: value[:LONGEST_FACT] for key, value in metadata.items()}
    about = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=facts)
    packed = []
    for detail in (about, *details):
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message[:LONGEST_MESSAGE], details=packed)


def _relayed(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Return what another of our services told us, for who asked us to ask it; None if that is our own affair."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            relayed: status_pb2.Status = status_pb2.Status.FromString(value)
            return relayed
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        message = "another service that this needs can't be reached now; try again"
        return _status(grpc.StatusCode.UNAVAILABLE, message, "PEER_AWAY", {})
    return None


async def answer(call: Call, error: Exception) -> None:
    """End an RPC with what the caller is told of an error."""
    if isinstance(error, NotImplementedError) and call.context.code() is grpc.StatusCode.UNIMPLEMENTED:
        # The generated base class of a servicer answers so for what nobody has written.
        error = errors.NotServedError(f"{call.method} is in the contract, and not served by this version yet")
    await call.context.abort_with_status(rpc_status.to_status(status_of(error)))
