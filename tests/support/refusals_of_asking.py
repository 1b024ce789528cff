"""What `ActionService` refuses to those who ask for something, or for a preview of it."""
# ruff: noqa: D401 - a scenario says what is so

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.actioncenter.v1 import action_service_pb2
from quell.remediation.v1 import device_pb2, email_pb2, remediation_pb2, target_pb2

from center_requests import Center, block, create, delete, new, undo
from deployment import NAME, OWN_KEYS
from quell_runtime.own_keys import OwnKey
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp
from refusals import Bearing, always, executor_away, refuses

NOBODY = f"actions/{uuid.UUID(int=0)}"
NONSENSE = "x"
NO_DEVICE = "devices/" + "a" * 26


def restrict(device: str) -> remediation_pb2.Remediation:
    """Return what restricts a device."""
    return remediation_pb2.Remediation(restrict_code_execution=device_pb2.RestrictCodeExecution(device=device))


@refuses("CreateAction", Code.ALREADY_EXISTS, "ACTION_ID_TAKEN")
async def of_another_content(center: Center) -> Message:
    """The id is an action's that does something else."""
    action = await center.create(block(""))
    return create(block(""), action_id=action.name.removeprefix("actions/"))


@refuses("CreateAction", Code.INVALID_ARGUMENT, "REVERT_UNSUPPORTED")
async def reverted_before_it_began(_center: Center) -> Message:
    """The effect would be taken back in the past."""
    return create(block(""), revert_time=stamp(datetime.now(UTC) - timedelta(hours=1)))


@refuses("CreateAction", Code.INVALID_ARGUMENT, "REVERT_UNSUPPORTED")
async def that_nothing_takes_back(_center: Center) -> Message:
    """A release with a revert time."""
    release = remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="https://x.example/*"))
    return create(release, revert_time=stamp(datetime.now(UTC) + timedelta(hours=1)))


@refuses("CreateAction", Code.INVALID_ARGUMENT, "INVALID", field="on_behalf_of")
async def for_somebody_else(_center: Center) -> Message:
    """A person asks in another one's name."""
    return create(block(""), on_behalf_of="bob")


@refuses("CreateAction", Code.INVALID_ARGUMENT, "INVALID", "email", "on_behalf_of")
async def for_nobody(_center: Center) -> Message:
    """A service asks for itself."""
    return create(block(""))


@refuses("CreateAction", Code.INVALID_ARGUMENT, "INVALID", "email", "on_behalf_of")
async def for_a_stranger(_center: Center) -> Message:
    """A service asks for somebody whom nobody knows."""
    return create(block(""), on_behalf_of="mallory")


AS_ANN = OwnKey(OWN_KEYS["ann"], NAME, "ann")
LONG = timedelta(minutes=10)


def token(action_id: str, own: OwnKey = AS_ANN, service: str = "email", later: timedelta = timedelta()) -> str:
    """Return a token for an action."""
    return own.actor_token(service, f"actions/{action_id}", datetime.now(UTC) + later)


def bearing(*makers: Callable[[str], str]) -> None:
    """Have what comes with such tokens refused."""

    async def with_a_token_that_is_not_for_it(_center: Center) -> Bearing:
        action_id = new()
        request = create(block(""), action_id=action_id, on_behalf_of="ann")
        return Bearing(request, [make(action_id) for make in makers])

    refuses("CreateAction", Code.UNAUTHENTICATED, "ACTOR_TOKEN_INVALID", "email")(with_a_token_that_is_not_for_it)


bearing(lambda _action: "nonsense")
bearing(lambda _action: "")
bearing(lambda action: token(action, OwnKey(SealKey(bytes(32)), NAME, "ann")))
bearing(lambda action: token(action, OwnKey(OWN_KEYS["bob"], NAME, "ann")))
bearing(lambda action: token(action, OwnKey(OWN_KEYS["bob"], NAME, "bob")))
bearing(lambda action: token(action, OwnKey(OWN_KEYS["ann"], "elsewhere", "ann")))
bearing(lambda action: token(action, service="device"))
bearing(lambda _action: token(new()))
bearing(lambda action: token(action, later=-LONG))
bearing(lambda action: token(action, later=LONG))
bearing(token, lambda action: token(action, later=-LONG))


def preview(remediation: remediation_pb2.Remediation) -> Message:
    """Return a request to see what a remediation would do."""
    return action_service_pb2.PreviewActionRequest(remediation=remediation)


always(
    "CreateAction",
    Code.NOT_FOUND,
    "INVESTIGATION_UNKNOWN",
    create(block(""), investigation="investigations/xdr.nowhere"),
)
always(
    "CreateAction",
    Code.INVALID_ARGUMENT,
    "INVESTIGATION_REQUIRED",
    create(
        remediation_pb2.Remediation(
            run_antivirus_scan=device_pb2.RunAntivirusScan(
                device=NO_DEVICE, quick=device_pb2.QuickScan(), findings_as_evidence=True
            )
        )
    ),
)
always("CreateAction", Code.FAILED_PRECONDITION, "POLICY_FORBIDS", create(block("quell")))
always(
    "CreateAction",
    Code.FAILED_PRECONDITION,
    "TARGET_UNRESOLVED",
    create(
        remediation_pb2.Remediation(
            restrict_code_execution=device_pb2.RestrictCodeExecution(device="devices/" + "a" * 26)
        )
    ),
)
always(
    "CreateAction",
    Code.FAILED_PRECONDITION,
    "EXECUTOR_LACKS_KIND",
    create(
        remediation_pb2.Remediation(
            quarantine_messages=email_pb2.QuarantineMessages(
                messages=target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(subject="x"))
            )
        )
    ),
)
always(
    "CreateAction",
    Code.INVALID_ARGUMENT,
    "REMEDIATION_TOO_LARGE",
    create(
        remediation_pb2.Remediation(
            soft_delete_messages=email_pb2.SoftDeleteMessages(
                messages=target_pb2.MessageSelector(
                    messages=target_pb2.MessageList(messages=[target_pb2.MessageRef(message_id="x" * 900)] * 200)
                )
            )
        )
    ),
)

always("PreviewAction", Code.NOT_FOUND, "ACTION_UNKNOWN", action_service_pb2.PreviewActionRequest(name=NOBODY))
always("PreviewAction", Code.NOT_FOUND, "ACTION_UNKNOWN", action_service_pb2.PreviewActionRequest(undo_of=NOBODY))
always("PreviewAction", Code.FAILED_PRECONDITION, "PLAN_REFUSED", preview(block("refused")))


@refuses("PreviewAction", Code.UNAVAILABLE, "EXECUTOR_AWAY", meanwhile=executor_away)
async def of_a_cluster_that_nobody_can_resolve(_center: Center) -> Message:
    """Its executor is away."""
    return action_service_pb2.PreviewActionRequest(remediation=delete("Invoice"))


@refuses("PreviewAction", Code.FAILED_PRECONDITION, "ACTION_NOT_PENDING")
async def of_what_is_decided(center: Center) -> Message:
    """It is done."""
    return action_service_pb2.PreviewActionRequest(name=(await center.ended("")).name)


@refuses("PreviewAction", Code.FAILED_PRECONDITION, "ACTION_NOT_UNDOABLE")
async def of_the_undo_of_what_is_not_done(center: Center) -> Message:
    """Nobody has approved it."""
    return action_service_pb2.PreviewActionRequest(undo_of=(await center.create(block(""))).name)


@refuses("PreviewAction", Code.FAILED_PRECONDITION, "NOT_THE_NEWEST")
async def of_the_undo_of_the_older(center: Center) -> Message:
    """An equal newer action owns the effect."""
    older = await center.ended("taken-over-preview")
    await center.ended("taken-over-preview")
    return action_service_pb2.PreviewActionRequest(undo_of=older.name)


always("PreviewAction", Code.FAILED_PRECONDITION, "POLICY_FORBIDS", preview(block("quell")))
always("PreviewAction", Code.FAILED_PRECONDITION, "TARGET_UNRESOLVED", preview(restrict(NO_DEVICE)))


@refuses("PreviewAction", Code.FAILED_PRECONDITION, "UNDO_OPEN")
async def of_a_second_undo(center: Center) -> Message:
    """Somebody else's undo of it waits for approval."""
    action = await center.ended("")
    await center.ask("rita", "UndoAction", undo(action.name))
    return action_service_pb2.PreviewActionRequest(undo_of=action.name)
