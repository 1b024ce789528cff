"""What a person's own key is for besides approving."""

import uuid

import click

from quell_cli import own_key
from quell_cli.commands.running import made
from quell_cli.connection import Profile
from quell_cli.deployment import Folder
from quell_cli.session import Session
from quell_runtime.own_keys import METADATA, OwnKey


@click.group()
def keys() -> None:
    """Make or show a key of your own, which seals what you approve."""


def _profile(session: Session) -> Profile:
    return Profile.read(Folder(session.data).config("client"))


def _show(session: Session, found: OwnKey) -> None:
    """Print the public half as people.toml has it, below [people.NAME]."""
    path = own_key.path_of(_profile(session), session.person)
    click.echo(f"{path} is {found.person}'s own; below [people.{found.person}] in people.toml:", err=True)
    click.echo(f'keys = ["{found.key.public.hex()}"]')


@keys.command("make")
@click.pass_obj
def make_key(session: Session) -> None:
    """Make a key of your own, beside your certificate; people.toml then says that it is yours."""
    _show(session, made(lambda: own_key.make(_profile(session), session.person)))


@keys.command("show")
@click.pass_obj
def show_key(session: Session) -> None:
    """Print the public half of your own key, as people.toml and executors take it."""
    _show(session, made(lambda: own_key.needed(_profile(session), session.person)))


@click.command()
@click.argument("service", type=click.Choice(["device", "email"]))
@click.argument("action_id", type=click.UUID)
@click.pass_obj
def token(session: Session, service: str, action_id: uuid.UUID) -> None:
    """Print the header by which SERVICE may ask for one action as you, for five minutes.

    For example: grpcurl -H "$(quell token email $ID)" ... quell.email.v1.EmailRemediationService/BlockUrl
    """
    own = made(lambda: own_key.needed(_profile(session), session.person))
    click.echo(f"{METADATA}: {own.actor_token(service, f'actions/{action_id}', own_key.now())}")
