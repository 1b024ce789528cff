"""Asking for an action by hand: a command a kind, its options those of the contract's message."""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import click
import grpc
from buf.validate import validate_pb2
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from quell.remediation.v1 import remediation_pb2

from quell_cli import lookup
from quell_cli.commands.deciding import Duration, Wish, case_option, requested, revert_option, wait_option, why_option
from quell_cli.connection import Connection
from quell_cli.session import Session
from quell_runtime.kinds import Kind, kinds

STAMP = timestamp_pb2.Timestamp.DESCRIPTOR
OF_DAY, OF_DURATION = STAMP.full_name, "google.protobuf.Duration"
FILE, MESSAGES = "quell.remediation.v1.FileSelector", "quell.remediation.v1.MessageSelector"
HELP = {
    "file_name": "Attachments of this name.",
    "include_sent_copies": "The sender's own copies, too.",
    "mailboxes": "Only in this mailbox: an address. May be many.",
    "part": "What is in this part, as IMAP counts them: 2, 1.3.",
    "sha256": "What has this SHA-256.",
}
"""By field, where its name does not say it all."""
ACTION = re.compile(r"actions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBERS = {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}


class Parts(click.ParamType[Any]):
    """A message in short: `name=value,...`, a name again for more of it; of a file its path or its SHA-256; or JSON."""

    name = "parts"

    def __init__(self, message: Descriptor) -> None:
        """Read such messages."""
        self._message = message
        if self._message.full_name == FILE:
            self.name = "path|sha256"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Read it as JSON's objects; the contract's rules are checked where it is asked for."""
        text = str(value)
        if text.startswith("{"):
            try:
                return json.loads(text)
            except ValueError:
                self.fail("that is no JSON", param, ctx)
        if self._message.full_name == FILE and "=" not in text:
            return {"path" if text.startswith("/") else "sha256": text}
        found: dict[str, Any] = {}
        for part in text.split(","):
            name, sign, word = part.partition("=")
            inner = self._message.fields_by_name.get(name)
            if inner is None or not sign:
                names = ", ".join(f"{each}=..." for each in self._message.fields_by_name)
                self.fail(f"{part} is none of {names}; if it has a comma in it, write JSON", param, ctx)
            if name in ("mailbox", "mailboxes"):
                word = _mailbox(word)
            if inner.is_repeated:
                found.setdefault(name, []).append(word)
            else:
                found[name] = word
        return found


class Acting(click.Group):
    """A command for each kind of the contract."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the kinds, as commands are written."""
        return [dashed(name) for name in kinds()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make the command of a kind."""
        kind = kinds().get(cmd_name.replace("-", "_"))
        return command(kind) if kind else None


@click.group(cls=Acting)
def act() -> None:
    """Ask for an action by hand. A DEVICE is an id or a host name, an ACTION an id or its first digits."""


def dashed(name: str) -> str:
    """Return a name of the contract as it is typed."""
    return name.replace("_", "-")


@cache
def command(kind: Kind) -> click.Command:
    """Return the command that asks for a kind."""
    field = remediation_pb2.Remediation.DESCRIPTOR.fields_by_name[kind.name]
    assert field.message_type is not None  # noqa: S101 - every kind is a message
    simple = kind.target_field in ("device", "pattern", "mailbox", "action")
    params: list[click.Parameter] = [click.Argument([kind.target_field])] if simple else []
    for each in field.message_type.fields:
        if not simple or each.name != kind.target_field:
            params += _choices(each) if _told_two_ways(each) else [_option(each)]

    def work(session: Session, **given: Any) -> None:  # noqa: ANN401 - what click gives
        wait = given.pop("wait")
        wish = Wish(given.pop("comment"), given.pop("revert_after", None), given.pop("investigation"))

        async def remediation(connection: Connection) -> remediation_pb2.Remediation:
            if given.get("action"):
                given["action"] = await _target(connection, "action", given["action"])
            if simple and kind.target_field != "action":
                given[kind.target_field] = await _target(connection, kind.target_field, given[kind.target_field])
            return _remediation(kind, given)

        requested(session, remediation, wish, wait=wait)

    made = click.Command(
        dashed(kind.name), callback=click.pass_obj(work), params=params, help=_help(kind), short_help=_help(kind)
    )
    for option in (why_option, wait_option, case_option, *((revert_option,) if kind.undoable else ())):
        made = option(made)
    return made


def _told_two_ways(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == MESSAGES


def _choices(field: FieldDescriptor) -> list[click.Parameter]:
    """Return the options that tell messages: one by one, or a campaign."""
    assert field.message_type is not None  # noqa: S101 - it is a message's field
    listed, cluster = (field.message_type.fields_by_name[name].message_type for name in ("messages", "cluster"))
    assert listed is not None  # noqa: S101 - as above
    assert cluster is not None  # noqa: S101 - as above
    ref = listed.fields_by_name["messages"].message_type
    assert ref is not None  # noqa: S101 - as above
    one, many = _names(ref), _names(cluster)
    return [
        click.Option(["--message"], type=Parts(ref), multiple=True, help=f"A message, of {one}; or JSON. May be many."),
        click.Option(["--cluster"], type=Parts(cluster), help=f"All messages alike in {many}; or JSON."),
    ]


def _names(message: Descriptor) -> str:
    return ", ".join(f"{each.name}=" for each in message.fields if each.message_type in (None, STAMP))


def _help(kind: Kind) -> str:
    told = kind.name.replace("_", " ").capitalize()
    if kind.read_only:
        return f"{told}: only reads."
    return f"{told}; undone by undo." if kind.undoable else f"{told}."


def _option(field: FieldDescriptor) -> click.Option:
    """Return the option of a field; a message without fields is a flag, one of a single list is that list."""
    flag, many, told = f"--{dashed(field.name)}", field.is_repeated, HELP.get(field.name)
    if field.enum_type is not None:
        words = {dashed(value.name.rpartition("MODE_")[2].lower()): value.name for value in field.enum_type.values[1:]}
        return click.Option([flag], type=Words(words))
    if field.message_type is None:
        boolean = field.cpp_type == FieldDescriptor.CPPTYPE_BOOL
        number = click.INT if field.cpp_type in NUMBERS else click.STRING
        return click.Option([flag], is_flag=boolean, multiple=many, type=click.BOOL if boolean else number, help=told)
    if not field.message_type.fields:
        return click.Option([flag], is_flag=True)
    if field.message_type.full_name in (OF_DURATION, OF_DAY):
        return click.Option([flag], type=Duration(), help="As 15m, 12h, 7d: of a time, from now.")
    if _listed(field):
        return click.Option([flag], multiple=True)
    return click.Option([flag], type=Parts(field.message_type), multiple=many)


def _listed(field: FieldDescriptor) -> FieldDescriptor | None:
    """Return the one list of words that a message is, if it is no more than that."""
    inner = field.message_type.fields if field.message_type else ()
    return inner[0] if len(inner) == 1 and inner[0].is_repeated and not inner[0].message_type else None


class Words(click.ParamType[str]):
    """One of an enum's values, as words."""

    name = "word"

    def __init__(self, words: dict[str, str]) -> None:
        """Take the words and what each stands for."""
        self._words = words

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        if str(value) not in self._words:
            self.fail(f"one of {', '.join(self._words)}", param, ctx)
        return self._words[str(value)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        """Show the words."""
        return f"[{'|'.join(self._words)}]"


async def _target(connection: Connection, field: str, typed: str) -> str:
    """Return the name of a target."""
    if field == "device":
        return (await lookup.device(connection, typed)).name
    if field == "action":
        return await _action(connection, typed)
    return _mailbox(typed) if field == "mailbox" else typed


async def _action(connection: Connection, typed: str) -> str:
    """Return the name of an action; who may not look any up names it in whole."""
    try:
        return (await lookup.action(connection, typed)).name
    except grpc.aio.AioRpcError as refused:
        name = f"actions/{typed.removeprefix('actions/')}"
        if refused.code() == grpc.StatusCode.PERMISSION_DENIED and ACTION.fullmatch(name):
            return name
        raise


def _mailbox(typed: str) -> str:
    return f"mailboxes/{typed.removeprefix('mailboxes/')}"


def _remediation(kind: Kind, given: dict[str, Any]) -> remediation_pb2.Remediation:
    descriptor = remediation_pb2.Remediation.DESCRIPTOR.fields_by_name[kind.name].message_type
    assert descriptor is not None  # noqa: S101 - every kind is a message
    chosen, cluster = given.pop("message", ()), given.pop("cluster", None)
    if chosen and cluster:
        raise click.UsageError("--message or --cluster, not both")
    if given.get("mailboxes"):
        given["mailboxes"] = tuple(_mailbox(each) for each in given["mailboxes"])
    filled = {name: _json(descriptor.fields_by_name[name], value) for name, value in given.items() if value}
    _one_of_each(descriptor, filled)
    if _told_two_ways(descriptor.fields_by_name[kind.target_field]) and not (chosen or cluster):
        raise click.UsageError("--message or --cluster is needed")
    if chosen or cluster:
        filled[kind.target_field] = {"cluster": cluster} if cluster else {"messages": {"messages": list(chosen)}}
    try:
        return ParseDict({kind.name: filled}, remediation_pb2.Remediation())
    except ParseError as error:
        raise click.UsageError(str(error).partition("\n")[0]) from None


def _one_of_each(descriptor: Descriptor, filled: dict[str, Any]) -> None:
    """Refuse two of what can be told in one way only, or none where one is needed."""
    for choice in descriptor.oneofs:
        given = sum(field.name in filled for field in choice.fields)
        needed = choice.GetOptions().Extensions[validate_pb2.oneof].required
        if given > 1 or (needed and not given):
            flags = ", ".join(f"--{dashed(field.name)}" for field in choice.fields)
            raise click.UsageError(f"{'exactly' if needed else 'at most'} one of {flags}")


def _json(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - what click read
    """Return a value as JSON has it."""
    message = field.message_type
    if message is None:
        return list(value) if isinstance(value, tuple) else value
    if isinstance(value, timedelta):
        if message.full_name == OF_DAY:
            return (datetime.now(UTC) + value).isoformat()
        return f"{value.total_seconds():f}s"
    if not message.fields:
        return {}
    if listed := _listed(field):
        return {listed.name: list(value)}
    return list(value) if isinstance(value, tuple) else value
