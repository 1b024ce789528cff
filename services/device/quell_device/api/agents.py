"""AgentService: agents dial it. A device's id comes from its certificate alone."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from quell_device.application.enrolment import Enrolment
from quell_device.application.gateway import Gateway
from quell_device.application.uploads import Uploads
from quell_runtime.identity import caller


class AgentServicer(agent_service_pb2_grpc.AgentServiceServicer):
    """One for the agents' listener and the enrolment listener: who may call what, the contract says."""

    def __init__(self, enrolment: Enrolment, gateway: Gateway, uploads: Uploads) -> None:
        """Take the use cases."""
        self._uploads = uploads
        self._enrolment = enrolment
        self._gateway = gateway

    async def Enrol(  # noqa: N802, D102 - the contract's
        self, request: agent_service_pb2.EnrolRequest, _context: object
    ) -> agent_service_pb2.EnrolResponse:
        return await self._enrolment.enrol(request)

    async def RenewCertificate(  # noqa: N802, D102
        self, request: agent_service_pb2.RenewCertificateRequest, _context: object
    ) -> agent_service_pb2.RenewCertificateResponse:
        return await self._enrolment.renew(caller().name, request.csr)

    async def Connect(  # noqa: N802, D102
        self, request_iterator: AsyncIterator[agent_service_pb2.ConnectRequest], _context: object
    ) -> AsyncGenerator[agent_service_pb2.ConnectResponse, None]:
        async with aclosing(self._gateway.connect(caller().name, request_iterator)) as responses:
            async for response in responses:
                yield response

    async def UploadArtifact(  # noqa: N802, D102
        self, request_iterator: AsyncIterator[agent_service_pb2.UploadArtifactRequest], _context: object
    ) -> AsyncGenerator[agent_service_pb2.UploadArtifactResponse, None]:
        async with aclosing(self._uploads.bring(caller().name, request_iterator)) as responses:
            async for response in responses:
                yield response
