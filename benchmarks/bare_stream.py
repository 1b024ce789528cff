"""The limit that the fleet is compared with: a bare grpc.aio server with mutual TLS and one stream an agent.

`python bare_stream.py PORT KEY CERTIFICATE CA DATABASE`. What comes up on a stream is a hello or an answer; on a line
of stdin it commits an order for each stream, sends all of them, commits each answer, and prints how long that took.
"""

import asyncio
import sqlite3
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import seal_pb2, warrant_pb2

BODY = b"x" * 300


class Bare(agent_service_pb2_grpc.AgentServiceServicer):
    """Keeps a queue a stream, and counts answers."""

    def __init__(self, path: Path) -> None:
        """Make the database."""
        self.queues: list[asyncio.Queue[agent_service_pb2.ConnectResponse]] = []
        self.answers: asyncio.Queue[int] = asyncio.Queue()
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE orders (id INTEGER, state TEXT, body BLOB)")

    async def Connect(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[agent_service_pb2.ConnectRequest], _context: object
    ) -> AsyncIterator[agent_service_pb2.ConnectResponse]:
        """Send what is queued."""
        queue: asyncio.Queue[agent_service_pb2.ConnectResponse] = asyncio.Queue()
        self.queues.append(queue)
        reading = asyncio.create_task(self._read(len(self.queues), request_iterator))
        try:
            while True:
                yield await queue.get()
        finally:
            reading.cancel()

    async def _read(self, number: int, requests: AsyncIterator[agent_service_pb2.ConnectRequest]) -> None:
        async for request in requests:
            if request.up.HasField("receipts"):
                self.answers.put_nowait(number)

    def commit(self, state: str, numbers: list[int]) -> None:
        """Write rows, and wait for the disk."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(each, state, BODY) for each in numbers])
        self._database.execute("COMMIT")

    async def fan_out(self) -> float:
        """Return seconds from the order to the last stored answer."""
        begin = time.perf_counter()
        self.commit("sent", list(range(len(self.queues))))
        body = warrant_pb2.Warrant(action=f"actions/{uuid.uuid4()}", deployment=BODY.decode()).SerializeToString()
        warrants = executor_service_pb2.Warrants(warrants=[seal_pb2.Sealed(body=body)])
        down = agent_service_pb2.ConnectResponse(down=executor_service_pb2.WorkRequest(warrants=warrants))
        for queue in self.queues:
            queue.put_nowait(down)
        left = len(self.queues)
        while left:
            numbers = [await self.answers.get()]
            while not self.answers.empty():
                numbers.append(self.answers.get_nowait())
            self.commit("done", numbers)
            left -= len(numbers)
        return time.perf_counter() - begin


async def main() -> None:
    """Serve until stdin ends; each line is a fan-out."""
    port, *paths = sys.argv[1:]
    key, certificate, ca, database = map(Path, paths)
    bare = Bare(database)  # type: ignore[abstract]  # the one RPC is enough
    server = grpc.aio.server(
        options=[("grpc.server.max_pending_requests", 20000), ("grpc.server.max_pending_requests_hard_limit", 40000)]
    )
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(bare, server)
    pairs = [(key.read_bytes(), certificate.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, ca.read_bytes(), require_client_auth=True)
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(await bare.fan_out(), flush=True)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main())
