"""The type of what gRPC hands to every handler; we take nothing from it."""

from typing import Any

import grpc.aio

Context = grpc.aio.ServicerContext[Any, Any]
