"""Running Quell on this machine."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import click

from quell_cli.deployment import Folder, Ports
from quell_cli.session import Session
from quell_runtime.errors import QuellError

T = TypeVar("T")
port_option = click.option("--port", default=7443, show_default=True, help="First of six ports in a row, on loopback.")


@click.command()
@click.option("--data", "folder", type=click.Path(path_type=Path), default=None, help="Folder of the deployment.")
@port_option
@click.pass_obj
def up(session: Session, folder: Path | None, port: int) -> None:
    """Start every service and this machine's agent, and stay; Ctrl-C drains and stops."""
    from quell_cli.up import up as run  # noqa: PLC0415 - grpc is heavy

    _run(run((folder or session.data).absolute(), Ports(port), click.echo))


@click.command()
@click.option("--yes", is_flag=True, help="Do not pause at decisions.")
@click.option("--port", default=7543, show_default=True, help="First of six ports in a row, on loopback.")
def demo(port: int, *, yes: bool) -> None:
    """Run the main job once on real input: a malicious file, a suspicious one, a phishing campaign, a URL."""
    from quell_cli.demo.run import demo as run  # noqa: PLC0415

    _run(run(Ports(port), pauses=sys.stdin.isatty() and not yes))


@click.command()
@click.argument("name")
@click.option("--detector", "kind", flag_value="detector", help="For a detection system, which submits investigations.")
@click.option("--mail-filter", "kind", flag_value="mail-filter", help="For what asks whether URLs may be followed.")
@click.pass_obj
def certificate(session: Session, name: str, kind: str | None) -> None:
    """Make a certificate for a person, in DIR/pki; config/people.toml then says what they may."""
    from quell_cli.certificates import certify  # noqa: PLC0415

    who = made(lambda: certify(Folder(session.data.absolute()), kind or "operator", name))
    click.echo(f"{session.data}/pki/{name}.crt and {name}.key: {who}")
    if kind is None:
        click.echo(f'config/people.toml: [people.{name}] identities = ["{who}"] roles = ["viewer"]')


@click.command()
@click.pass_obj
def renew(session: Session) -> None:
    """Make certificates and the centre's keys last another year; then stop and start the services."""
    from quell_cli.certificates import renew as run  # noqa: PLC0415

    renewed = made(lambda: run(Folder(session.data.absolute())))
    click.echo(f"another year for {', '.join(renewed)} and the key set; stop and start the services now")


def made(work: Callable[[], T]) -> T:
    """Return what is made on this machine; if it can't be, say why, and exit."""
    try:
        return work()
    except QuellError as error:
        click.echo(f"quell: {error.message}", err=True)
        sys.exit(2)


def _run(work: Coroutine[None, None, None]) -> None:
    import grpc  # noqa: PLC0415 - heavy

    from quell_cli.problems import tell  # noqa: PLC0415
    from quell_runtime.client import problem  # noqa: PLC0415

    try:
        made(lambda: asyncio.run(work))
    except grpc.aio.AioRpcError as error:
        tell(problem(error), as_json=False)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\nStopped; nothing is left running.", err=True)
        # The exit code is a shell's for Ctrl-C.
        sys.exit(130)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script: eval "$(quell completion bash)"."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    from quell_cli.__main__ import quell  # noqa: PLC0415

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - one of the choices
    click.echo(made(quell, {}, "quell", "_QUELL_COMPLETE").source())
