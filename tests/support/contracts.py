"""All services and RPCs of the contracts, found by their generated modules."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import quell
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor


@cache
def services() -> tuple[ServiceDescriptor, ...]:
    """Return every service."""
    found = []
    for root in map(Path, quell.__path__):
        for module in sorted(root.rglob("*_service_pb2.py")):
            name = ".".join(("quell", *module.relative_to(root).with_suffix("").parts))
            found += import_module(name).DESCRIPTOR.services_by_name.values()
    return tuple(found)


def methods() -> Iterator[MethodDescriptor]:
    """Return every RPC."""
    for service in services():
        yield from service.methods
