"""What contract tests of the runtime share."""

from grpc_fixtures import aio_stub, deployment, grpc_addr, grpc_create_channel, grpc_server, grpc_service

__all__ = ["aio_stub", "deployment", "grpc_addr", "grpc_create_channel", "grpc_server", "grpc_service"]
