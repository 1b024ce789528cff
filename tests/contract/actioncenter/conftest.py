"""A centre behind its real server, and channels to it as each kind of caller."""

from center_house import grpc_add_to_server, grpc_servicer, grpc_stub_cls, house
from grpc_fixtures import aio_stub, deployment, grpc_addr, grpc_create_channel, grpc_server, grpc_service

__all__ = [
    "aio_stub",
    "deployment",
    "grpc_add_to_server",
    "grpc_addr",
    "grpc_create_channel",
    "grpc_server",
    "grpc_service",
    "grpc_servicer",
    "grpc_stub_cls",
    "house",
]
