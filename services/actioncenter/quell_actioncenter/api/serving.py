"""What the Action Center's listener serves."""

from dataclasses import dataclass

import grpc.aio
from quell.actioncenter.v1 import (
    action_service_pb2_grpc,
    audit_service_pb2_grpc,
    control_service_pb2_grpc,
    effect_service_pb2_grpc,
    investigation_service_pb2_grpc,
    policy_service_pb2_grpc,
)

from quell_actioncenter.api.actions import ActionServicer
from quell_actioncenter.api.audit import AuditServicer
from quell_actioncenter.api.control import ControlServicer
from quell_actioncenter.api.effects import EffectServicer
from quell_actioncenter.api.investigations import InvestigationServicer
from quell_actioncenter.api.policies import PolicyServicer
from quell_actioncenter.application.audit import Audit
from quell_actioncenter.application.center import Center
from quell_runtime.people import People
from quell_runtime.store import Store


@dataclass(frozen=True, slots=True)
class Served:
    """What stands behind the RPCs."""

    center: Center
    store: Store
    people: People


def add_to_server(served: Served, server: grpc.aio.Server) -> None:
    """Add every service of `quell.actioncenter.v1` to a listener."""
    center, store = served.center, served.store
    investigation_service_pb2_grpc.add_InvestigationServiceServicer_to_server(
        InvestigationServicer(center.investigations, store), server
    )
    action_service_pb2_grpc.add_ActionServiceServicer_to_server(ActionServicer(center, store, served.people), server)
    effect_service_pb2_grpc.add_EffectServiceServicer_to_server(EffectServicer(store), server)
    control_service_pb2_grpc.add_ControlServiceServicer_to_server(ControlServicer(center.controls), server)
    policy_service_pb2_grpc.add_PolicyServiceServicer_to_server(PolicyServicer(center.policies), server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(AuditServicer(Audit(store), store), server)
