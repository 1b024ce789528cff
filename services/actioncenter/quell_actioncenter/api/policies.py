"""`PolicyService`: the policy in force, those before it, and what another one would change."""
# ruff: noqa: N802 - methods have the contract's names

from quell.actioncenter.v1 import policy_service_pb2 as messages
from quell.actioncenter.v1.policy_service_pb2_grpc import PolicyServiceServicer

from quell_actioncenter.api import callers, resources
from quell_actioncenter.application.policies import Policies
from quell_runtime.listing.filters import parse


class PolicyServicer(PolicyServiceServicer):
    """Read the request, call the use case, write the response."""

    def __init__(self, policies: Policies) -> None:
        """Ask the use cases."""
        self._policies = policies

    async def GetPolicy(self, request: messages.GetPolicyRequest, _context: object) -> messages.GetPolicyResponse:
        """Return a version."""
        return messages.GetPolicyResponse(policy=await self._policies.get(request.name))

    async def GetDevicePolicy(
        self, request: messages.GetDevicePolicyRequest, _context: object
    ) -> messages.GetDevicePolicyResponse:
        """Return what it says of a device."""
        return await self._policies.of_device(request.device)

    async def UpdatePolicy(
        self, request: messages.UpdatePolicyRequest, _context: object
    ) -> messages.UpdatePolicyResponse:
        """Put a document in force."""
        return messages.UpdatePolicyResponse(policy=await self._policies.update(request, callers.actor()))

    async def TestPolicy(self, request: messages.TestPolicyRequest, _context: object) -> messages.TestPolicyResponse:
        """Try a document on the past."""
        return await self._policies.test(request.document, parse(request.filter, resources.INVESTIGATION))
