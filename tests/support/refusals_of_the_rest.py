"""What the services beside actions and investigations refuse, and what every list does."""
# ruff: noqa: D401 - a scenario says what is so

from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.actioncenter.v1 import (
    action_service_pb2,
    audit_service_pb2,
    control_service_pb2,
    effect_service_pb2,
    investigation_service_pb2,
    policy_service_pb2,
)

from center_requests import Center, new, unfreeze
from quell_actioncenter.domain.policy_yaml import default_document
from refusals import always, refuses

NONSENSE = "x"

for method, message in (
    ("ListActions", action_service_pb2.ListActionsRequest),
    ("ListEffects", effect_service_pb2.ListEffectsRequest),
    ("ListInvestigations", investigation_service_pb2.ListInvestigationsRequest),
):
    always(method, Code.INVALID_ARGUMENT, "FILTER_INVALID", message(filter="colour = red"))
    always(method, Code.INVALID_ARGUMENT, "ORDER_INVALID", message(order_by="colour"))
    always(method, Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", message(page_token=NONSENSE))
    always(method, Code.INVALID_ARGUMENT, "FIELD_INVALID", message(page_size=-1))

for watch, asked in (
    ("WatchActions", action_service_pb2.WatchActionsRequest),
    ("WatchInvestigations", investigation_service_pb2.WatchInvestigationsRequest),
):
    always(watch, Code.INVALID_ARGUMENT, "FILTER_INVALID", asked(filter="colour = red"))
    always(watch, Code.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED", asked(resume_token=NONSENSE))


always("GetEffect", Code.NOT_FOUND, "EFFECT_UNKNOWN", effect_service_pb2.GetEffectRequest(name="effects/none"))
always("GetPolicy", Code.NOT_FOUND, "POLICY_UNKNOWN", policy_service_pb2.GetPolicyRequest(name="policies/77"))
always(
    "GetDevicePolicy",
    Code.NOT_FOUND,
    "DEVICE_UNKNOWN",
    policy_service_pb2.GetDevicePolicyRequest(device=f"devices/{'a' * 26}"),
)
for policy_rpc, policy in (
    ("UpdatePolicy", policy_service_pb2.UpdatePolicyRequest(document="x", replaces="policies/1", comment="x")),
    ("TestPolicy", policy_service_pb2.TestPolicyRequest(document="x")),
):
    always(policy_rpc, Code.INVALID_ARGUMENT, "POLICY_INVALID", policy, "dan")
always(
    "UpdatePolicy",
    Code.ABORTED,
    "POLICY_CHANGED",
    policy_service_pb2.UpdatePolicyRequest(document=default_document(), replaces="policies/9999", comment="x"),
    "dan",
)
always(
    "TestPolicy",
    Code.INVALID_ARGUMENT,
    "FILTER_INVALID",
    policy_service_pb2.TestPolicyRequest(document=default_document(), filter="colour = red"),
    "dan",
)
always(
    "ListAuditEntries",
    Code.INVALID_ARGUMENT,
    "FILTER_INVALID",
    audit_service_pb2.ListAuditEntriesRequest(filter="colour = red"),
)
always(
    "ListAuditEntries",
    Code.INVALID_ARGUMENT,
    "PAGE_TOKEN_INVALID",
    audit_service_pb2.ListAuditEntriesRequest(page_token=NONSENSE),
)
always("VerifyAudit", Code.OUT_OF_RANGE, "ENTRY_UNKNOWN", audit_service_pb2.VerifyAuditRequest(first=2**63))
always("VerifyAudit", Code.OUT_OF_RANGE, "ENTRY_UNKNOWN", audit_service_pb2.VerifyAuditRequest(first=2, last=1))
always("ExportAudit", Code.OUT_OF_RANGE, "ENTRY_UNKNOWN", audit_service_pb2.ExportAuditRequest(first=2**63), "dan")


# ControlService: last, since what is frozen stays so. It is a kind that nothing here uses.


async def frozen(center: Center, freeze_id: str = "") -> int:
    """Have a kind frozen, and return the epoch."""
    request = control_service_pb2.FreezeRequest(freeze_id=freeze_id or new(), comment="x", kinds=["offboard_machine"])
    epoch: int = (await center.ask("ann", "Freeze", request)).freeze.epoch
    return epoch


always(
    "Freeze",
    Code.INVALID_ARGUMENT,
    "KIND_UNKNOWN",
    control_service_pb2.FreezeRequest(freeze_id=new(), comment="x", kinds=["make_coffee"]),
)
always("Unfreeze", Code.FAILED_PRECONDITION, "NOT_FROZEN", unfreeze(1))


@refuses("Freeze", Code.ALREADY_EXISTS, "FREEZE_ID_TAKEN")
async def something_else_under_its_id(center: Center) -> Message:
    """The id is that of a freeze for another reason."""
    freeze_id = new()
    await frozen(center, freeze_id)
    return control_service_pb2.FreezeRequest(freeze_id=freeze_id, comment="y", kinds=["offboard_machine"])


@refuses("Unfreeze", Code.ABORTED, "FREEZE_CHANGED")
async def what_was_frozen_otherwise(center: Center) -> Message:
    """Another epoch holds."""
    return unfreeze(await frozen(center) + 1)


@refuses("Unfreeze", Code.ALREADY_EXISTS, "VOTE_ID_TAKEN")
async def another_vote_under_its_id(center: Center) -> Message:
    """The id is that of a vote with another comment."""
    vote = unfreeze(await frozen(center))
    await center.ask("bob", "Unfreeze", vote)
    other = control_service_pb2.UnfreezeRequest()
    other.CopyFrom(vote)
    other.comment = "for another reason"
    return other


@refuses("Unfreeze", Code.PERMISSION_DENIED, "VOTED_ALREADY")
async def twice(center: Center) -> Message:
    """One person does not lift it alone."""
    epoch = await frozen(center)
    await center.ask("ann", "Unfreeze", unfreeze(epoch))
    return unfreeze(epoch)
