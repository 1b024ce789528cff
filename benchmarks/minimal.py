"""The limit that the benchmark compares with: the same durable steps and nothing else.

Centre and executor are two processes with one bidirectional stream of protobuf batches between them. The centre commits
action, event and outbox; the executor commits intent and end; the centre commits the receipt. No policy, no seals, no
hash chain, no views. Run as a program it is the executor.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from quell.executor.v1 import executor_service_pb2 as wire
from quell.executor.v1 import executor_service_pb2_grpc as rpc
from quell.warrant.v1 import seal_pb2

SCHEMA = """
CREATE TABLE actions (name TEXT PRIMARY KEY, state TEXT, body BLOB);
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT, body BLOB);
CREATE TABLE outbox (action TEXT PRIMARY KEY, body BLOB);
"""
BODY = b"x" * 300


class Database:
    """SQLite in a thread: WAL, FULL, one trip and one fsync a call."""

    def __init__(self, path: Path) -> None:
        """Make it."""
        self._thread = ThreadPoolExecutor(1)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")

    async def commit(self, *writes: tuple[str, list[tuple[object, ...]]]) -> None:
        """Write and commit."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, writes)

    def _commit(self, writes: tuple[tuple[str, list[tuple[object, ...]]], ...]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for statement, rows in writes:
            self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


class Executor(rpc.ExecutorServiceServicer):
    """Commits intent and end of a batch, and answers it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def Work(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[wire.WorkRequest], _context: object
    ) -> AsyncIterator[wire.WorkResponse]:
        """Carry nothing out, durably."""
        async for request in request_iterator:
            sealed = request.warrants.warrants
            names = [one.type for one in sealed]
            await self._database.commit(
                ("INSERT INTO actions VALUES (?, 'BEGUN', ?)", [(one.type, one.body) for one in sealed])
            )
            await self._database.commit(
                ("UPDATE actions SET state = 'DONE' WHERE name = ?", [(name,) for name in names]),
                ("INSERT INTO outbox VALUES (?, ?)", [(name, BODY) for name in names]),
            )
            yield wire.WorkResponse(
                receipts=wire.Receipts(receipts=[seal_pb2.Sealed(type=n, body=BODY) for n in names])
            )


async def serve(folder: str) -> None:
    """Be the executor."""
    server = grpc.aio.server()
    rpc.add_ExecutorServiceServicer_to_server(Executor(Database(Path(folder) / "executor.db")), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def actions_per_second(batch: int, total: int, callers: int) -> float:
    """Return how many actions a second go from submit to stored receipt, by callers with batches of this size."""
    with tempfile.TemporaryDirectory() as folder:
        executor = await asyncio.create_subprocess_exec(
            sys.executable, __file__, folder, stdout=asyncio.subprocess.PIPE
        )
        assert executor.stdout is not None  # noqa: S101 - it was asked for
        port = int(await executor.stdout.readline())
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await _drive(
                    rpc.ExecutorServiceStub(channel), Database(Path(folder) / "center.db"), batch, total, callers
                )
        finally:
            executor.kill()
            await executor.wait()


async def _drive(
    stub: "rpc.ExecutorServiceAsyncStub", database: Database, batch: int, total: int, callers: int
) -> float:
    stream = stub.Work()
    turn = asyncio.Lock()

    async def submit(names: list[str]) -> None:
        await database.commit(
            ("INSERT INTO actions VALUES (?, 'QUEUED', ?)", [(name, BODY) for name in names]),
            ("INSERT INTO events (action, body) VALUES (?, ?)", [(name, BODY) for name in names]),
            ("INSERT INTO outbox VALUES (?, ?)", [(name, BODY) for name in names]),
        )
        async with turn:
            sealed = [seal_pb2.Sealed(type=name, body=BODY) for name in names]
            await stream.write(wire.WorkRequest(warrants=wire.Warrants(warrants=sealed)))
            answer = await stream.read()
        assert isinstance(answer, wire.WorkResponse)  # noqa: S101 - the stream goes on
        done = [(one.type,) for one in answer.receipts.receipts]
        await database.commit(
            ("UPDATE actions SET state = 'SUCCEEDED' WHERE name = ?", list(done)),
            ("INSERT INTO events (action, body) VALUES (?, ?)", [(name, BODY) for (name,) in done]),
            ("DELETE FROM outbox WHERE action = ?", list(done)),
        )

    async def caller(rounds: int) -> None:
        for _ in range(rounds):
            await submit([str(uuid.uuid4()) for _ in range(batch)])

    begin = time.perf_counter()
    await asyncio.gather(*[caller(total // batch // callers) for _ in range(callers)])
    return total / (time.perf_counter() - begin)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
