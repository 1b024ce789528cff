"""Numbers for Prometheus, served: those of every RPC (`interceptors.counting`), and a service's own.

A service makes its own with `Counter`, `Gauge` or `Histogram` of prometheus_client, names beginning `quell_`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from quell_runtime.addresses import Address
from quell_runtime.errors import PortTakenError


@contextmanager
def served(address: Address) -> Iterator[int]:
    """Serve the numbers over HTTP, and give the port. Nobody is asked who they are, so it has to be loopback.

    Raises:
        PortTakenError: Somebody else listens there.

    """
    try:
        server, thread = start_http_server(address.port, address.host)
    except OSError as error:
        raise PortTakenError(f"{address} can't be listened on: {error.strerror}") from None
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
