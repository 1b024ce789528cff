"""Numbers of every RPC."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from prometheus_client import Counter, Gauge, Histogram

from quell_runtime.interceptors.call import Call

RPCS = Counter("quell_rpcs", "RPCs that ended, by method and code", ["method", "code"])
RPC_SECONDS = Histogram(
    "quell_rpc_seconds",
    "How long unary RPCs took",
    ["method"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
STREAMS = Gauge("quell_streams", "Streams that are open, by method", ["method"])


@contextmanager
def counted(call: Call) -> Iterator[None]:
    """Count a call by its code; time it if it is unary, and count it while it is open if it is a stream."""
    timer = STREAMS.labels(call.method).track_inprogress() if call.stream else RPC_SECONDS.labels(call.method).time()
    ended = "CANCELLED"
    try:
        with timer:
            yield
        ended = "OK"
    finally:
        code = call.context.code()
        RPCS.labels(call.method, code.name if isinstance(code, grpc.StatusCode) else ended).inc()
