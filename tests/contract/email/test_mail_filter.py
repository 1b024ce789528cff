"""The email service filters a real Postfix's mail, blocks within a second, and notices when mail goes by without it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from quell.remediation.v1 import email_pb2, remediation_pb2

from deployment import make
from email_house import LINK_KEY, EmailHouse
from eventually import eventually
from house import free_ports
from kit_house import DEPLOYMENT
from mail_tree import MailTree
from postfix_lab import DOMAIN, Postfix, mail, postfix
from quell_email.milter import mark
from quell_runtime.click_links import PATH

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PART = "quell.email.MailFilter"


@asynccontextmanager
async def filtering(tmp_path: Path, milter: str, port: int) -> AsyncIterator[tuple[EmailHouse, Postfix]]:
    """Have a Postfix that is told of a milter, and the service with its milter at a port."""
    (tmp_path / "deployment").mkdir()
    async with postfix(milter) as server:
        house = EmailHouse(make(tmp_path / "deployment", DEPLOYMENT), MailTree(server.folder / "mail"), tmp_path)
        probe = {"mailbox": f"probe@{DOMAIN}", "smtp": f"127.0.0.1:{server.port}", "every_s": 1, "wait_s": 20}
        tables: dict[str, dict[str, object]] = {
            "milter": {"listen": f"127.0.0.1:{port}", "base": f"http://127.0.0.1:{house.click_port}", "hold": True},
            "milter.probe": dict(probe),
        }
        lines = [house.config.read_text()]
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        house.config.write_text("\n".join(lines))
        await house.start()
        try:
            yield house, server
        finally:
            await house.kill()


async def health(house: EmailHouse) -> health_pb2.HealthCheckResponse.ServingStatus.ValueType:
    """Return what people are told of the filter: unknown until it was looked at."""
    async with house.channel("ann") as channel:
        call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=PART), timeout=10)
        if await call.code() == grpc.StatusCode.NOT_FOUND:
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        found: health_pb2.HealthCheckResponse = await call
        return found.status


async def test_a_link_in_delivered_mail_stops_when_it_is_blocked(tmp_path: Path) -> None:
    """Signed at delivery, it leads on; blocked, it does not, nor does new mail with it come; the watch is content."""
    port = free_ports(1)
    async with filtering(tmp_path, f"inet:127.0.0.1:{port}", port) as (house, server):
        await server.send(mail("go to https://www.evil.example/login\n"))

        async def delivered() -> list[bytes]:
            return server.mails("ann")

        (raw,) = await eventually(delivered, bool, within=30)
        assert mark.read(LINK_KEY, raw) == "done; links=1"
        (link,) = [word for word in raw.decode().split() if PATH in word]
        async with httpx.AsyncClient() as client:
            assert (await client.get(link)).status_code == 302
            async with house.conversation() as talk:
                block = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="~evil.example"))
                await talk.carry_out(block)
                assert (await client.get(link)).status_code == 403
            await server.send(mail("go to https://www.evil.example/again\n"))

        async def held() -> int:
            return len(server.held())

        await eventually(held, lambda count: count == 1, within=30)
        assert len(server.mails("ann")) == 1
        assert await eventually(lambda: health(house), lambda found: found == SERVING, within=30) == SERVING

        async def probes() -> int:
            return len(server.mails("probe"))

        await eventually(probes, lambda count: count == 0, within=30)


async def test_mail_that_goes_by_raises_the_alarm(tmp_path: Path) -> None:
    """Postfix can't reach the filter and delivers all the same: health and log say so."""
    async with filtering(tmp_path, "inet:127.0.0.1:9", free_ports(1)) as (house, _):
        assert await eventually(lambda: health(house), lambda found: found == NOT_SERVING, within=30) == NOT_SERVING
        house.process.terminate()
        _, said = await house.process.communicate()
        assert b"mail_filter_dead" in said
        assert b"not_filtered" in said


async def test_a_mail_server_that_takes_no_mail_raises_the_alarm_too(tmp_path: Path) -> None:
    """What can't be seen is not taken for well."""
    async with filtering(tmp_path, "", free_ports(1)) as (house, server):
        text = house.config.read_text().replace(f'"127.0.0.1:{server.port}"', '"127.0.0.1:9"')
        house.config.write_text(text)
        await house.kill()
        await house.start()
        assert await eventually(lambda: health(house), lambda found: found == NOT_SERVING, within=30) == NOT_SERVING


@pytest.mark.parametrize("wrong", ['base = "click.corp.test"', 'base = "https://click.corp.test/c"', "hold = true"])
async def test_a_wrong_configuration_names_its_key(tmp_path: Path, wrong: str) -> None:
    """The click endpoint's address, without a path."""
    (tmp_path / "deployment").mkdir()
    house = EmailHouse(make(tmp_path / "deployment", DEPLOYMENT), MailTree(tmp_path / "mail"), tmp_path)
    house.config.write_text(house.config.read_text() + f'\n[milter]\nlisten = "127.0.0.1:0"\n{wrong}\n')
    process = await house.spawn()
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"milter.base" in said
