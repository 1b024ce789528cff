"""Actions by hand: ask for, preview, vote, call off, take back, try again, give up."""

from collections.abc import Sequence

from quell.actioncenter.v1 import action_pb2, action_service_pb2

from quell_actioncenter.application.actor import Actor


class Actions:
    """The use cases of `ActionService`; reading is the API's, from the store and `progress`."""

    async def create(self, request: action_service_pb2.CreateActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for a remediation by hand."""
        raise NotImplementedError

    async def preview(
        self, request: action_service_pb2.PreviewActionRequest, actor: Actor
    ) -> action_service_pb2.PreviewActionResponse:
        """Show what an action, a remediation or an undo would do, and what an approval would bind."""
        raise NotImplementedError

    async def approve(self, request: action_service_pb2.ApproveActionRequest, actor: Actor) -> action_pb2.Action:
        """Vote for an action."""
        raise NotImplementedError

    async def reject(self, request: action_service_pb2.RejectActionRequest, actor: Actor) -> action_pb2.Action:
        """Vote against an action."""
        raise NotImplementedError

    async def decide_many(
        self, request: action_service_pb2.BatchDecideActionsRequest, actor: Actor, matching: Sequence[str] = ()
    ) -> list[action_service_pb2.DecideResult]:
        """Vote on many actions, with an answer each.

        `matching`: of a request by filter, the names of the actions that match and are pending or held, oldest first,
        at most 1,000. What came or got another etag since its `seen_time` is left out of the answer.
        """
        raise NotImplementedError

    async def cancel(self, request: action_service_pb2.CancelActionRequest, actor: Actor) -> action_pb2.Action:
        """Call an action off."""
        raise NotImplementedError

    async def undo(self, request: action_service_pb2.UndoActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for the reverse of what an action did."""
        raise NotImplementedError

    async def retry(self, request: action_service_pb2.RetryActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for the same once more."""
        raise NotImplementedError

    async def write_off(self, request: action_service_pb2.WriteOffActionRequest, actor: Actor) -> action_pb2.Action:
        """Give up a target that will not answer."""
        raise NotImplementedError
