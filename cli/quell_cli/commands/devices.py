"""Devices and URLs."""

import click
from quell.device.v1 import device_pb2, fleet_service_pb2, fleet_service_pb2_grpc
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.executor.v1 import target_report_pb2

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, say


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
    """Show one device: what it offers, and why not the rest."""

    async def work(connection: Connection) -> device_pb2.Device:
        return await lookup.device(connection, device)

    found = session.call(work)

    def told() -> None:
        say(f"{found.name} {found.host_name}: {_state(found)}")
        say(f"{found.os}, {found.kernel}, agent {found.agent_version}")
        session.table(("kind", "offered"), [(each.name, each.missing or "yes") for each in found.kinds])

    session.show([found], told)


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
