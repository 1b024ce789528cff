"""The agent's link: it renews its certificate by itself, and dials again at no two agents' same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from center_bench import SeededRng
from quell_agent.talker import link
from quell_agent.talker.link import LONGEST_WAIT, RENEWED_AGAIN_AFTER, Link
from quell_runtime.addresses import Address
from virtual_time import in_virtual_time

LIFE = 24 * 3600.0


class Certificate:
    """One that is good for a day; its first renewal each day finds nobody there, if so told."""

    def __init__(self, *, refused: bool) -> None:
        """Begin with a new one."""
        self.credentials = None
        self.renewed: list[float] = []
        self._begin = 0.0
        self._refused = self._refuses = refused

    @property
    def over(self) -> bool:
        """Tell whether its day is over."""
        return asyncio.get_running_loop().time() >= self._begin + LIFE

    def renewal_in(self) -> timedelta:
        """Return what is left of two thirds of its life."""
        return timedelta(seconds=self._begin + LIFE * 2 / 3 - asyncio.get_running_loop().time())

    async def renew(self, _stub: object) -> None:
        """Be renewed, or not."""
        if self._refuses:
            self._refuses = False
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
        self._begin, self._refuses = asyncio.get_running_loop().time(), self._refused
        self.renewed.append(self._begin)


class Talking(Link):
    """A link whose conversations last, or break at once."""

    def __init__(self, certificate: Certificate, seed: int = 1, *, breaks: bool = False) -> None:
        """Talk with nobody."""
        super().__init__(Address("gateway", 1), [], cast("Any", certificate), cast("Any", None), SeededRng(seed))
        self.begun: list[float] = []
        self._breaks = breaks

    async def _talk(self, stub: object) -> None:  # noqa: ARG002 - nobody is there
        self.begun.append(asyncio.get_running_loop().time())
        if self._breaks:
            raise OSError
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def dialled(*_arguments: object) -> AsyncIterator[None]:
        yield None

    async def resolved(_gateway: object) -> list[str]:
        return []

    monkeypatch.setattr(link, "dialling", SimpleNamespace(dialled=dialled, resolved=resolved))
    monkeypatch.setattr("quell_agent.talker.link.agent_service_pb2_grpc.AgentServiceStub", lambda _channel: None)


async def _for(seconds: float, running: Link) -> bool:
    """Let a link run so long; tell whether it still does."""
    task = asyncio.create_task(running.run())
    await asyncio.wait([task], timeout=seconds)
    still = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return still


@pytest.mark.parametrize("refused", [False, True], ids=["at once", "at the second try"])
def test_a_certificate_is_renewed_in_time_and_shown(*, refused: bool) -> None:
    """At two thirds of its life, each time, and soon again if nobody answers; the next stream shows the new one."""

    async def story() -> None:
        certificate = Certificate(refused=refused)
        talking = Talking(certificate)
        assert await _for(3 * LIFE, talking)
        late = [
            (when - before) - LIFE * 2 / 3
            for before, when in zip([0.0, *certificate.renewed], certificate.renewed, strict=False)
        ]
        assert len(certificate.renewed) == 4
        assert all((RENEWED_AGAIN_AFTER / 2 if refused else 0) <= each <= RENEWED_AGAIN_AFTER for each in late)
        assert len(talking.begun) == 5
        assert all(begun > renewed for renewed, begun in zip(certificate.renewed, talking.begun[1:], strict=True))

    in_virtual_time(story)


def test_control_without_renewal_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody renews it: the link ends with its certificate, once the stream does."""

    async def never(_link: Link, _stub: object) -> None:
        await asyncio.sleep(LIFE + 1)

    monkeypatch.setattr(Link, "_renew_in_time", never)
    certificate = Certificate(refused=False)
    assert not in_virtual_time(lambda: _for(3 * LIFE, Talking(certificate)))
    assert not certificate.renewed


def test_agents_come_back_one_by_one() -> None:
    """Each waits from half of a growing time to all of it, a minute at most, by its own chance."""

    async def story() -> None:
        waits = []
        for seed in range(20):
            talking = Talking(Certificate(refused=False), seed, breaks=True)
            assert await _for(600, talking)
            waits.append([after - before for before, after in zip(talking.begun, talking.begun[1:], strict=False)])
        assert len({each[-1] for each in waits}) == len(waits)
        assert all(0 < each[0] < 1 for each in waits)
        assert all(LONGEST_WAIT / 2 <= wait <= LONGEST_WAIT for each in waits for wait in each[8:])

    in_virtual_time(story)
