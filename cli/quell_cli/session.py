"""One call of the command line: who asks, how to answer, and what is said beside the answer."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from quell.actioncenter.v1 import policy_service_pb2, policy_service_pb2_grpc

from quell_cli.connection import Connection
from quell_cli.deployment import Folder
from quell_cli.plain import plain
from quell_cli.problems import exit_code, tell
from quell_runtime.client import Problem, problem
from quell_runtime.errors import QuellError, StateError, UnknownError

TIMEOUT = 30.0
WARN_WITHIN = 2.0
INTERRUPTED = 130
COLUMN = 14
"""Characters that a column of a table needs, or it is unreadable."""
ID = 30
"""Characters of the longest id that people type."""
T = TypeVar("T")
OF_OURS: dict[type | None, grpc.StatusCode] = {
    UnknownError: grpc.StatusCode.NOT_FOUND,
    StateError: grpc.StatusCode.FAILED_PRECONDITION,
}
"""Exit codes of what the command line finds out by itself are those of a service that says the same."""
ALONE = "warning: the policy says single_operator, so people decide alone: nobody else looks at what they approve"


class Session:
    """What the global options said."""

    def __init__(self, data: Path, person: str, *, as_json: bool, utc: bool) -> None:
        """Keep it."""
        self.data = data
        self.person = person
        self.as_json = as_json
        self.utc = utc
        self._warned = False

    def connection(self, person: str = "") -> Connection:
        """Return the way to the services, as the person who asks or as another."""
        return Connection.of(Folder(self.data).config("client"), person or self.person)

    def call(self, work: Callable[[Connection], Awaitable[T]], person: str = "") -> T:
        """Run work over a connection; on an error say what to do next, and exit."""

        async def run() -> T:
            async with self.connection(person) as connection:
                warning = asyncio.create_task(self._warn(connection))
                try:
                    return await work(connection)
                finally:
                    await warning

        try:
            return asyncio.run(run())
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except grpc.aio.AioRpcError as error:
            found = problem(error)
        except QuellError as error:
            code = OF_OURS.get(type(error).__base__, grpc.StatusCode.INVALID_ARGUMENT)
            found = Problem(code, error.message, error.reason)
        tell(found, as_json=self.as_json)
        sys.exit(exit_code(found))

    async def _warn(self, connection: Connection) -> None:
        """Say so, once, if people decide alone. Who can't ask the Action Center is not told."""
        if self._warned:
            return
        stub = connection.stub("actioncenter", policy_service_pb2_grpc.PolicyServiceStub)
        request = policy_service_pb2.GetPolicyRequest(name="policies/current")
        with contextlib.suppress(grpc.aio.AioRpcError):
            if (await stub.GetPolicy(request, timeout=WARN_WITHIN)).policy.single_operator:
                click.echo(ALONE, err=True)
                self._warned = True

    def show(self, messages: Sequence[Message], table: Callable[[], None]) -> None:
        """Print messages: as JSON, one a line, or as people read them."""
        if self.as_json:
            for message in messages:
                click.echo(one_line(message))
        else:
            table()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table; on a pipe it is as wide as it needs to be, on a narrow terminal each row is a paragraph."""
        from rich.console import Console  # noqa: PLC0415 - JSON needs none of it
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        rows = list(rows)
        console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
        if console.width < COLUMN * len(columns):
            for row in rows:
                say(*(f"{column}: {cell}" for column, cell in zip(columns, row, strict=True) if cell), "")
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            # An id stands first: people type it next, so it is not broken.
            whole = number == 0 and all(len(row[0]) <= ID for row in rows)
            table.add_column(column, overflow="fold", no_wrap=whole)
        for row in rows:
            table.add_row(*[Text(plain(cell)) for cell in row])
        console.print(table)


def say(*lines: str) -> None:
    """Print lines to people."""
    for line in lines:
        click.echo(plain(line))


def one_line(message: Message) -> str:
    """Return a message as one line of JSON, its fields named as in the contract."""
    return MessageToJson(message, indent=None, preserving_proto_field_name=True)
