"""Devices and URLs."""

from dataclasses import dataclass

import click
import grpc
from quell.actioncenter.v1 import (
    action_pb2,
    effect_pb2,
    effect_service_pb2,
    effect_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
)
from quell.device.v1 import device_pb2, fleet_service_pb2, fleet_service_pb2_grpc
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.executor.v1 import target_report_pb2

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.following import following
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, one_line, say


def _stub(connection: Connection) -> "fleet_service_pb2_grpc.FleetServiceAsyncStub":
    return connection.stub("device", fleet_service_pb2_grpc.FleetServiceStub)


@click.group()
def devices() -> None:
    """See devices, bring one in, shut one out. A DEVICE is an id or a host name, or what it begins with."""


def _state(device: device_pb2.Device) -> str:
    return target_report_pb2.TargetState.Name(device.state).removeprefix("TARGET_STATE_")


@devices.command("list")
@click.option("--filter", "condition", default="", help='As "state = AWAY".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_devices(session: Session, condition: str, limit: int) -> None:
    """List devices."""

    async def work(connection: Connection) -> list[device_pb2.Device]:
        request = fleet_service_pb2.ListDevicesRequest(filter=condition)
        return await pages(_stub(connection).ListDevices, request, "devices", limit)

    found = session.call(work)
    rows = [
        (
            each.name.removeprefix("devices/"),
            each.host_name,
            _state(each),
            each.os,
            ", ".join(each.tags),
            show.time(each.last_seen_time, utc=session.utc),
        )
        for each in found
    ]
    session.show(found, lambda: session.table(("device", "host name", "state", "system", "tags", "last seen"), rows))


@devices.command("show")
@click.argument("device")
@click.pass_obj
def show_device(session: Session, device: str) -> None:
    """Show one device: what the policy says of it, what is in force on it and by whom, and what it offers."""

    async def work(connection: Connection) -> Seen:
        return await _seen(connection, await lookup.device(connection, device))

    found = session.call(work)
    session.show([found.device, *found.policy, *found.effects], lambda: _tell(session, found))


@dataclass(frozen=True, slots=True)
class Seen:
    """A device and all that is known of it: what the policy says (nothing, of one that is gone), and its effects."""

    device: device_pb2.Device
    policy: list[policy_service_pb2.GetDevicePolicyResponse]
    effects: list[effect_pb2.Effect]
    owners: dict[str, action_pb2.Action]


async def _seen(connection: Connection, found: device_pb2.Device) -> Seen:
    register = connection.stub("actioncenter", effect_service_pb2_grpc.EffectServiceStub)
    asked = effect_service_pb2.ListEffectsRequest(filter=f'device = "{found.name}"')
    effects: list[effect_pb2.Effect] = await pages(register.ListEffects, asked, "effects")
    owners = {each.action: await lookup.action(connection, each.action) for each in effects if each.action}
    policies = connection.stub("actioncenter", policy_service_pb2_grpc.PolicyServiceStub)
    try:
        request = policy_service_pb2.GetDevicePolicyRequest(device=found.name)
        policy = [await policies.GetDevicePolicy(request, timeout=TIMEOUT)]
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        policy = []
    return Seen(found, policy, effects, owners)


def _tell(session: Session, found: Seen) -> None:
    device = found.device
    say(f"{device.name} {device.host_name}: {_state(device)}, seen {show.time(device.last_seen_time, utc=session.utc)}")
    say(f"{device.os}, {device.kernel}, agent {device.agent_version}")
    say(f"tags: {', '.join(device.tags) or 'none'}")
    for policy in found.policy:
        say(f"group: {policy.group or 'none'}; protected: {'yes' if policy.protected else 'no'} ({policy.policy})")
    rows = [(*show.effect(each, utc=session.utc), _by(found.owners.get(each.action))) for each in found.effects]
    session.table((*show.EFFECT, "by"), rows)
    session.table(("kind", "offered"), [(each.name, each.missing or "yes") for each in device.kinds])


def _by(action: action_pb2.Action | None) -> str:
    """Return by whose approval an effect is in force."""
    if action is None:
        return "an older identity of the machine"
    yes = [vote.actor for vote in action.votes if vote.answer == action_pb2.ANSWER_APPROVE]
    return ", ".join(yes) or f"rule {action.decision.rule}"


@devices.command()
@click.option("--filter", "condition", default="", help='As "tag = servers".')
@click.pass_obj
def watch(session: Session, condition: str) -> None:
    """Watch devices as they come, go and change, until Ctrl-C."""

    async def work(connection: Connection) -> None:
        request = fleet_service_pb2.WatchDevicesRequest(filter=condition)
        async for answer in following(_stub(connection).WatchDevices, request):
            each = answer.device
            if session.as_json:
                click.echo(one_line(each))
                continue
            when = show.time(each.last_seen_time, utc=session.utc)
            say(f"{when}  {each.name.removeprefix('devices/')}  {each.host_name}: {_state(each)}")

    session.call(work)


@devices.command()
@click.argument("device")
@click.argument("tags", nargs=-1)
@click.option("--comment", "-m", required=True, help="Why.")
@click.pass_obj
def tag(session: Session, device: str, tags: tuple[str, ...], comment: str) -> None:
    """Give a device these TAGS and no others; the policy's groups go by them from then on."""

    async def work(connection: Connection) -> device_pb2.Device:
        found = await lookup.device(connection, device)
        request = fleet_service_pb2.UpdateDeviceRequest(name=found.name, tags=tags, comment=comment)
        return (await _stub(connection).UpdateDevice(request, timeout=TIMEOUT)).device

    found = session.call(work)
    session.show([found], lambda: say(f"{found.name}: {', '.join(found.tags) or 'no tags'}"))


@devices.command("enrol-token")
@click.option("--tag", "tags", multiple=True, help="A tag for the device; may be given again.")
@click.pass_obj
def enrol_token(session: Session, tags: tuple[str, ...]) -> None:
    """Make a token that lets one device enrol, once, within ten minutes."""

    async def work(connection: Connection) -> fleet_service_pb2.CreateEnrolmentTokenResponse:
        request = fleet_service_pb2.CreateEnrolmentTokenRequest(tags=tags)
        return await _stub(connection).CreateEnrolmentToken(request, timeout=TIMEOUT)

    found = session.call(work)
    session.show([found], lambda: say(found.token))


@devices.command()
@click.argument("device")
@click.option("--comment", "-m", required=True, help="Why.")
@click.pass_obj
def ban(session: Session, device: str, comment: str) -> None:
    """Shut a device out at once. It can't be undone; the machine can be enrolled anew."""

    async def work(connection: Connection) -> device_pb2.Device:
        found = await lookup.device(connection, device)
        request = fleet_service_pb2.BanDeviceRequest(name=found.name, comment=comment)
        return (await _stub(connection).BanDevice(request, timeout=TIMEOUT)).device

    found = session.call(work)
    session.show([found], lambda: say(f"{found.name}: {_state(found)}"))


@click.group()
def urls() -> None:
    """Check whether a URL may be followed."""


@urls.command()
@click.argument("url")
@click.pass_obj
def check(session: Session, url: str) -> None:
    """Check one URL; exit code 1 if it is blocked."""

    async def work(connection: Connection) -> url_service_pb2.UrlCheck:
        stub = connection.stub("email", url_service_pb2_grpc.UrlServiceStub)
        return (await stub.CheckUrl(url_service_pb2.CheckUrlRequest(url=url), timeout=TIMEOUT)).check

    found = session.call(work)
    answer = url_service_pb2.UrlAnswer.Name(found.answer).removeprefix("URL_ANSWER_")
    by = f" by {found.pattern} ({found.action})" if found.pattern else ""
    session.show([found], lambda: say(f"{answer}{by}: {found.canonical_url}"))
    if found.answer != url_service_pb2.URL_ANSWER_ALLOWED:
        raise SystemExit(1)
