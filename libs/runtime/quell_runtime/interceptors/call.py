"""One RPC, as the interceptors see it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from quell.annotations.v1 import annotations_pb2

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC. `method` is its full name with dots: `quell.email.v1.UrlService.CheckUrl`."""

    method: str
    context: Context
    stream: bool

    @property
    def access(self) -> annotations_pb2.Access:
        """What the contract says about who may call it; empty if it says nothing."""
        return access_of(self.method)


@lru_cache(maxsize=1024)
def access_of(method: str) -> annotations_pb2.Access:
    """Return who may call an RPC; empty, which denies, if the contracts do not say."""
    found = described(method)
    return found.GetOptions().Extensions[annotations_pb2.access] if found else annotations_pb2.Access()


def described(method: str) -> MethodDescriptor | None:
    """Return an RPC's descriptor. The pool finds no methods by name, so its service is asked."""
    service, _, name = method.rpartition(".")
    try:
        return descriptor_pool.Default().FindServiceByName(service).methods_by_name.get(name)
    except KeyError:
        return None
