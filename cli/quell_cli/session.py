"""One call of the command line: who asks, how to answer, and what an error says to do next."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from quell_cli.connection import Connection
from quell_cli.deployment import Folder
from quell_cli.problems import ADVICE, EXIT
from quell_runtime.client import Problem, problem
from quell_runtime.errors import QuellError, StateError, UnknownError

TIMEOUT = 30.0
T = TypeVar("T")
OF_OURS: dict[type | None, grpc.StatusCode] = {
    UnknownError: grpc.StatusCode.NOT_FOUND,
    StateError: grpc.StatusCode.FAILED_PRECONDITION,
}
"""Exit codes of what the command line finds out by itself are those of a service that says the same."""


class Session:
    """What the global options said."""

    def __init__(self, data: Path, person: str, *, as_json: bool, utc: bool) -> None:
        """Keep it."""
        self.data = data
        self.person = person
        self.as_json = as_json
        self.utc = utc

    def connection(self, person: str = "") -> Connection:
        """Return the way to the services, as the person who asks or as another."""
        return Connection.of(Folder(self.data).config("client"), person or self.person)

    def call(self, work: Callable[[Connection], Awaitable[T]], person: str = "") -> T:
        """Run work over a connection; on an error say what to do next, and exit."""

        async def run() -> T:
            async with self.connection(person) as connection:
                return await work(connection)

        try:
            return asyncio.run(run())
        except grpc.aio.AioRpcError as error:
            found = problem(error)
        except QuellError as error:
            found = Problem(
                OF_OURS.get(type(error).__base__, grpc.StatusCode.INVALID_ARGUMENT), error.message, error.reason
            )
        tell(found)
        sys.exit(EXIT.get(found.code.name, 1))

    def show(self, messages: Sequence[Message], table: Callable[[], None]) -> None:
        """Print messages: as JSON, one a line, or as people read them."""
        if self.as_json:
            for message in messages:
                click.echo(one_line(message))
        else:
            table()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table; on a pipe it is as wide as it needs to be."""
        from rich.console import Console  # noqa: PLC0415 - JSON needs none of it
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[Text(cell) for cell in row])
        console.print(table)


def tell(found: Problem) -> None:
    """Print a problem and what to do next."""
    click.echo(f"quell: {found.message}" + (f" ({found.reason})" if found.reason else ""), err=True)
    for field, description in found.violations:
        click.echo(f"  {field}: {description}", err=True)
    for key, value in sorted(found.metadata.items()):
        click.echo(f"  {key}: {value}", err=True)
    if advice := ADVICE.get(found.reason) or ADVICE.get(found.code.name):
        click.echo(f"  next: {advice}", err=True)


def one_line(message: Message) -> str:
    """Return a message as one line of JSON, its fields named as in the contract."""
    return MessageToJson(message, indent=None, preserving_proto_field_name=True)
