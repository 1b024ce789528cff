"""What `ActionService` refuses of an action that is there: decisions, its end, undo, and its parts."""
# ruff: noqa: D401 - a scenario says what is so

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.actioncenter.v1 import action_pb2, action_service_pb2, policy_service_pb2
from quell.warrant.v1 import approval_pb2

from center_requests import Center, approval, block, delete, new, rejection, retry, undo
from deployment import NAME, OWN_KEYS
from quell_runtime.own_keys import OwnKey
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp
from refusals import always, every_host_excluded, kind_lacking, refuses
from refusals_of_asking import NOBODY, NONSENSE

always("GetAction", Code.NOT_FOUND, "ACTION_UNKNOWN", action_service_pb2.GetActionRequest(name=NOBODY))


@refuses("ApproveAction", Code.NOT_FOUND, "ACTION_UNKNOWN", "bob")
async def what_is_not_there(_center: Center) -> Message:
    """There is no such action."""
    return approval(action_pb2.Action(name=NOBODY, etag="1"))


@refuses("ApproveAction", Code.PERMISSION_DENIED, "APPROVAL_NOT_PERMITTED", "ann")
async def ones_own(center: Center) -> Message:
    """Who asked for it can't approve it."""
    return approval(await center.create(block("")))


@refuses("ApproveAction", Code.ALREADY_EXISTS, "VOTE_ID_TAKEN", "bob")
async def with_the_vote_on_another(center: Center) -> Message:
    """The id is that of a vote on another action."""
    vote_id = new()
    await center.approve(await center.create(block("")), vote_id)
    return approval(await center.create(block("")), vote_id=vote_id)


@refuses("ApproveAction", Code.FAILED_PRECONDITION, "ACTION_NOT_PENDING", "bob")
async def what_is_decided(center: Center) -> Message:
    """It is done."""
    return approval(await center.ended(""))


@refuses("ApproveAction", Code.FAILED_PRECONDITION, "PREVIEW_REQUIRED", "bob")
async def a_cluster_that_was_not_looked_at(center: Center) -> Message:
    """The etag says nothing of what it resolves to."""
    return approval(await center.create(delete("Invoice 1")))


@refuses("ApproveAction", Code.FAILED_PRECONDITION, "SEAL_INVALID", "bob")
async def with_a_seal_that_does_not_hold(center: Center) -> Message:
    """It is under a key that nobody knows."""
    action = await center.create(delete("Invoice 2"))
    (sealed,) = SealKey(bytes(32)).seal(approval_pb2.Approval.DESCRIPTOR.full_name, [b"x"])
    return approval(action, approval=sealed)


async def to_be_sealed(center: Center) -> action_pb2.Action:
    """Ask for something while the policy wants sealed votes for it."""
    get = policy_service_pb2.GetPolicyRequest(name="policies/current")
    before = (await center.ask("dan", "GetPolicy", get)).policy

    def update(document: str, replaces: str) -> Message:
        return policy_service_pb2.UpdatePolicyRequest(document=document, replaces=replaces, comment="x")

    sealing = update(before.document.replace("sealed: []", "sealed: [block_url]"), before.name)
    during = (await center.ask("dan", "UpdatePolicy", sealing)).policy.name
    action = await center.create(block(""))
    await center.ask("dan", "UpdatePolicy", update(before.document, during))
    return action


@refuses("ApproveAction", Code.FAILED_PRECONDITION, "SEAL_REQUIRED", "bob")
async def without_an_own_key(center: Center) -> Message:
    """The policy wants one for this kind."""
    return approval(await to_be_sealed(center))


@refuses("ApproveAction", Code.FAILED_PRECONDITION, "SEAL_INVALID", "bob")
async def with_somebody_elses_key(center: Center) -> Message:
    """Ann's, by bob."""
    action = await to_be_sealed(center)
    preview = action_service_pb2.PreviewActionRequest(name=action.name)
    shown = bytes.fromhex((await center.ask("bob", "PreviewAction", preview)).preview_digest)
    now = datetime.now(UTC)
    sealed = OwnKey(OWN_KEYS["ann"], NAME, "bob").approval(shown, now, now + timedelta(hours=1))
    return approval(action, approval=sealed)


@refuses("ApproveAction", Code.ABORTED, "ACTION_CHANGED", "bob")
async def what_has_changed(center: Center) -> Message:
    """It is not what the etag says."""
    return approval(await center.create(block("")), etag="77")


@refuses("ApproveAction", Code.ABORTED, "ACTION_CHANGED", "bob")
async def what_another_preview_showed(center: Center) -> Message:
    """It is not what the digest says."""
    return approval(await center.create(delete("Invoice 3")), preview_digest="0" * 64)


@refuses("RejectAction", Code.NOT_FOUND, "ACTION_UNKNOWN", "bob")
async def nothing_at_all(_center: Center) -> Message:
    """There is no such action."""
    return rejection(action_pb2.Action(name=NOBODY, etag="1"))


@refuses("RejectAction", Code.ALREADY_EXISTS, "VOTE_ID_TAKEN", "bob")
async def with_a_vote_for_another(center: Center) -> Message:
    """The id is that of a vote on another action."""
    vote_id = new()
    await center.approve(await center.create(block("")), vote_id)
    return rejection(await center.create(block("")), vote_id=vote_id)


@refuses("RejectAction", Code.FAILED_PRECONDITION, "ACTION_NOT_PENDING", "bob")
async def what_is_done(center: Center) -> Message:
    """It is too late."""
    return rejection(await center.ended(""))


@refuses("RejectAction", Code.ABORTED, "ACTION_CHANGED", "bob")
async def what_is_something_else(center: Center) -> Message:
    """It is not what the etag says."""
    return rejection(await center.create(block("")), etag="77")


always(
    "BatchDecideActions",
    Code.INVALID_ARGUMENT,
    "FILTER_INVALID",
    action_service_pb2.BatchDecideActionsRequest(
        vote_id=new(),
        answer=action_pb2.ANSWER_APPROVE,
        comment="all",
        filter=action_service_pb2.SeenFilter(filter="colour = red", seen_time=stamp(datetime.now(UTC))),
    ),
)

always(
    "CancelAction", Code.NOT_FOUND, "ACTION_UNKNOWN", action_service_pb2.CancelActionRequest(name=NOBODY, comment="x")
)


@refuses("CancelAction", Code.FAILED_PRECONDITION, "ACTION_ENDED")
async def what_has_ended(center: Center) -> Message:
    """There is nothing to call off."""
    return action_service_pb2.CancelActionRequest(name=(await center.ended("")).name, comment="x")


always("UndoAction", Code.NOT_FOUND, "ACTION_UNKNOWN", undo(NOBODY))


@refuses("UndoAction", Code.FAILED_PRECONDITION, "ACTION_NOT_UNDOABLE")
async def of_what_is_not_done(center: Center) -> Message:
    """Nobody has approved it."""
    return undo((await center.create(block(""))).name)


@refuses("UndoAction", Code.FAILED_PRECONDITION, "NOT_THE_NEWEST")
async def of_the_older(center: Center) -> Message:
    """An equal newer action owns the effect."""
    older = await center.ended("taken-over")
    await center.ended("taken-over")
    return undo(older.name)


@refuses("UndoAction", Code.FAILED_PRECONDITION, "UNDO_OPEN")
async def a_second_time(center: Center) -> Message:
    """Somebody else's undo of it waits for approval."""
    action = await center.ended("")
    await center.ask("rita", "UndoAction", undo(action.name))
    return undo(action.name)


@refuses("UndoAction", Code.ALREADY_EXISTS, "ACTION_ID_TAKEN")
async def under_another_actions_id(center: Center) -> Message:
    """The id is another action's."""
    other = await center.create(block(""))
    return undo((await center.ended("")).name, undo_id=other.name.removeprefix("actions/"))


always("RetryAction", Code.NOT_FOUND, "ACTION_UNKNOWN", retry(NOBODY))


@refuses("RetryAction", Code.FAILED_PRECONDITION, "ACTION_NOT_RETRYABLE")
async def what_still_waits(center: Center) -> Message:
    """It has not failed."""
    return retry((await center.create(block(""))).name)


@refuses("RetryAction", Code.FAILED_PRECONDITION, "EXECUTOR_LACKS_KIND", meanwhile=kind_lacking)
async def what_nobody_offers_any_more(center: Center) -> Message:
    """The executor has lost the kind."""
    return retry((await center.ended("vain")).name)


@refuses("RetryAction", Code.FAILED_PRECONDITION, "POLICY_FORBIDS", meanwhile=every_host_excluded)
async def what_the_policy_forbids_by_now(center: Center) -> Message:
    """It is decided anew."""
    return retry((await center.ended("vain")).name)


@refuses("RetryAction", Code.ALREADY_EXISTS, "ACTION_ID_TAKEN")
async def under_an_id_that_is_taken(center: Center) -> Message:
    """The id is another action's."""
    other = await center.create(block(""))
    failed = await center.ended("vain")
    return retry(failed.name, retry_id=other.name.removeprefix("actions/"))


always(
    "WriteOffAction",
    Code.NOT_FOUND,
    "ACTION_UNKNOWN",
    action_service_pb2.WriteOffActionRequest(name=NOBODY, comment="x"),
    "dan",
)


@refuses("WriteOffAction", Code.FAILED_PRECONDITION, "ACTION_NOT_SENT", "dan")
async def what_was_never_sent(center: Center) -> Message:
    """It waits for people."""
    return action_service_pb2.WriteOffActionRequest(name=(await center.create(block(""))).name, comment="x")


@refuses("WriteOffAction", Code.FAILED_PRECONDITION, "ACTION_ENDED", "dan")
async def what_came_to_its_end(center: Center) -> Message:
    """It has its receipt."""
    return action_service_pb2.WriteOffActionRequest(name=(await center.ended("")).name, comment="x")


for parts, of in (
    ("ListActionItems", action_service_pb2.ListActionItemsRequest),
    ("ListActionEvents", action_service_pb2.ListActionEventsRequest),
):
    always(parts, Code.NOT_FOUND, "ACTION_UNKNOWN", of(name=NOBODY))


@refuses("ListActionItems", Code.INVALID_ARGUMENT, "FILTER_INVALID", field="filter")
async def by_what_items_have_not(center: Center) -> Message:
    """No such field."""
    return action_service_pb2.ListActionItemsRequest(name=(await center.create(block(""))).name, filter="colour = red")


@refuses("ListActionItems", Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", field="page_token")
async def after_no_page_of_items(center: Center) -> Message:
    """No such page."""
    return action_service_pb2.ListActionItemsRequest(name=(await center.create(block(""))).name, page_token=NONSENSE)


@refuses("ListActionEvents", Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", field="page_token")
async def after_no_page_of_events(center: Center) -> Message:
    """No such page."""
    return action_service_pb2.ListActionEventsRequest(name=(await center.create(block(""))).name, page_token=NONSENSE)
