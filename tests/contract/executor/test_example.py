"""The third party's executor of `examples` keeps the contract of effects, in less than 100 lines of code."""

from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2

import hosts_executor
from hosts_executor import BlockUrl, UnblockUrl
from quell_executor.contract import EffectContract, World
from quell_executor.effect import Owned, RefusedError

MINE = "127.0.0.1 localhost\n10.0.0.1 bad.example\n"


class Hosts:
    """A hosts file in which the host stands already, elsewhere."""

    def __init__(self, path: Path, content: str = MINE) -> None:
        """Write it."""
        self.path = path
        self.path.write_text(content)
        self.effect = BlockUrl(path)
        self.order = email_pb2.BlockUrl(pattern="bad.example")

    async def look(self) -> object:
        """Return its lines; in which order they stand means nothing."""
        return sorted(self.path.read_text().splitlines())

    async def disturb(self) -> None:
        """Send the host elsewhere."""
        self.path.write_text("192.0.2.1 bad.example\n")


class TestHosts(EffectContract):
    """The contract, for a host that was mapped before and one that wasn't."""

    @pytest.fixture(params=[MINE, ""])
    def world(self, tmp_path: Path, request: pytest.FixtureRequest) -> World:
        """Return a new world."""
        return Hosts(tmp_path / "hosts", request.param)


async def test_what_it_can_not_block_it_refuses(tmp_path: Path) -> None:
    """A path would be widened to its whole host."""
    with pytest.raises(RefusedError, match="TARGET_REFUSED"):
        await Hosts(tmp_path / "hosts").effect.plan(email_pb2.BlockUrl(pattern="bad.example/login"), None)


async def test_its_release_means_the_same_host(tmp_path: Path) -> None:
    """And no other."""
    (planned,) = (await Hosts(tmp_path / "hosts").effect.plan(email_pb2.BlockUrl(pattern="bad.example"), None)).items
    owned = Owned("actions/1", planned.key, planned.item)
    assert UnblockUrl().names(email_pb2.UnblockUrl(pattern="bad.example")) == {planned.key}
    assert UnblockUrl().chooses(email_pb2.UnblockUrl(pattern="bad.example"), owned)
    assert not UnblockUrl().chooses(email_pb2.UnblockUrl(pattern="good.example"), owned)


def test_it_is_as_small_as_is_promised() -> None:
    """Under 100 lines of code, the process included."""
    lines = Path(hosts_executor.__file__).read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < 100
