"""DeviceRemediationService: each RPC asks the Action Center for its caller."""

from quell.device.v1 import device_remediation_service_pb2, device_remediation_service_pb2_grpc

from quell_runtime import by_hand

DeviceRemediationServicer = by_hand.servicer(
    device_remediation_service_pb2_grpc.DeviceRemediationServiceServicer,
    device_remediation_service_pb2.DESCRIPTOR.services_by_name["DeviceRemediationService"],
)
