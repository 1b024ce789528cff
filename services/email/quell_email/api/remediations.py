"""EmailRemediationService: each RPC asks the Action Center for its caller."""

from quell.email.v1 import email_remediation_service_pb2, email_remediation_service_pb2_grpc

from quell_runtime import by_hand

EmailRemediationServicer = by_hand.servicer(
    email_remediation_service_pb2_grpc.EmailRemediationServiceServicer,
    email_remediation_service_pb2.DESCRIPTOR.services_by_name["EmailRemediationService"],
)
