"""Reflection that knows single RPCs, too: Python's descriptor pool finds no methods by name."""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

NAME = reflection.SERVICE_NAME


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc] # the library has no types
    def _file_containing_symbol(
        self, request: reflection_pb2.ServerReflectionRequest, name: str
    ) -> reflection_pb2.ServerReflectionResponse:
        service, _, method = name.rpartition(".")
        try:
            found = descriptor_pool.Default().FindServiceByName(service)
        except KeyError:
            return super()._file_containing_symbol(request, name)
        return super()._file_containing_symbol(request, service if method in found.methods_by_name else name)


def add(names: Iterable[str], server: grpc.aio.Server) -> None:
    """Have a server tell of the services with these names, and of itself."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection([*names, NAME]), server)
