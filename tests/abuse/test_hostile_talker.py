"""A talker in the wrong hands says what it likes: it can do what a hostile gateway can, and no more."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest
from quell.agent.v1 import line_pb2

from center_bench import SeededRng
from quell_agent.bringing import Bringing
from quell_agent.frames import MOST_BYTES, FrameError, Frames
from quell_agent.identity import Home, Identity, RootStrangeError
from quell_agent.line import Line
from quell_agent.settings import AgentSettings
from quell_runtime import enrolment_token, pki
from quell_runtime.enrolment_token import EnrolmentToken
from quell_runtime.sealing import key_id_of
from quell_runtime.seams import SystemClock


@asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[Frames[line_pb2.FromTalker], socket.socket]]:
    """Yield our end, and the bare other one."""
    ours, theirs = socket.socketpair()
    frames = await Frames.over(ours, line_pb2.FromTalker)
    try:
        yield frames, theirs
    finally:
        frames.close()
        theirs.close()


@pytest.mark.parametrize(
    "said",
    [(MOST_BYTES + 1).to_bytes(4, "big"), b"\xff\xff\xff\xff", b"\0\0\0\x03\xff\xff\xff", b"\0\0\0\0"],
    ids=["a byte too much", "four gigabytes", "no message", "an empty one"],
)
async def test_what_is_no_message_ends_it(said: bytes) -> None:
    """Too much, nonsense, nothing: nothing is kept for it, and the talker is ended."""
    async with two_ends() as (frames, other):
        other.sendall(said)
        with pytest.raises(FrameError):
            await anext(aiter(frames))


async def test_a_message_is_heard() -> None:
    """The control: what is one comes."""
    async with two_ends() as (frames, other):
        body = line_pb2.FromTalker(opened=line_pb2.Opened(stream=7)).SerializeToString()
        other.sendall(len(body).to_bytes(4, "big") + body)
        assert (await anext(aiter(frames))).opened.stream == 7


def agent(folder: Path, gateway: str = "gateway:2", *networks: str) -> tuple[Identity, bytes]:
    """Return an agent that has a token, and the root key that the token names."""
    key = pki.new_seal_key(folder / "root.pem")
    token = EnrolmentToken("enrol:1", gateway, bytes(32), key_id_of(key.public), bytes(32))
    settings = AgentSettings(data=folder, token=token.text(), gateway_networks=tuple(map(ip_network, networks)))
    assert enrolment_token.parse(settings.token) == token
    return Identity(settings, SystemClock()), key.public


def test_it_can_not_name_another_root(tmp_path: Path) -> None:
    """The token pins it; nothing is kept."""
    identity, _ = agent(tmp_path)
    with pytest.raises(RootStrangeError):
        identity.settle(line_pb2.Enrolled(deployment="evil", root_key=bytes(32)))
    assert not identity.enrolled


def test_it_can_not_move_an_agent_to_another_deployment(tmp_path: Path) -> None:
    """Once it has a home, that stays, whatever enrolment is said to have brought."""
    identity, root = agent(tmp_path)
    identity.settle(line_pb2.Enrolled(deployment="home", root_key=root))
    with pytest.raises(RootStrangeError):
        identity.settle(line_pb2.Enrolled(deployment="evil", root_key=root))
    assert identity.home() == Home("home", root, "gateway:2")


async def test_it_can_not_have_files_read_that_nobody_brings(tmp_path: Path) -> None:
    """What it wants of no bringing is not answered, and hosts that are no addresses end it."""
    said: list[Any] = []
    uploads = Bringing(cast("Any", said.append))
    uploads.heard(line_pb2.FromTalker(want=line_pb2.Want(number=0, offset=0)))
    await asyncio.sleep(0)
    assert said == []
    identity, _ = agent(tmp_path)
    line = Line(identity, AgentSettings(data=tmp_path), SeededRng(), lambda: None)
    with pytest.raises(FrameError):
        await line._heard(line_pb2.FromTalker(resolved=line_pb2.Resolved(hosts=["a; rule"])))  # noqa: SLF001
    assert identity.hosts() == []


@pytest.mark.parametrize(
    ("gateway", "networks", "said", "open_"),
    [
        ("gateway:2", (), ["192.0.2.7", "2001:db8::7"], ["192.0.2.7", "2001:db8::7"]),
        ("gateway:2", (), [f"192.0.2.{last}" for last in range(10, 40)], [f"192.0.2.{last}" for last in range(10, 26)]),
        ("gateway:2", ("192.0.2.0/28",), ["192.0.2.7", "192.0.2.77", "2001:db8::7"], ["192.0.2.7"]),
        ("gateway:2", ("192.0.2.0/28",), ["192.0.2.77"], []),
        ("192.0.2.9:2", (), ["192.0.2.7"], ["192.0.2.9"]),
        ("[2001:db8::9]:2", (), ["192.0.2.7"], ["2001:db8::9"]),
    ],
    ids=["a name", "too many", "in its networks", "nowhere in them", "an address", "an address of IPv6"],
)
async def test_what_it_can_have_left_open(
    tmp_path: Path, gateway: str, networks: Sequence[str], said: Sequence[str], open_: Sequence[str]
) -> None:
    """No more than so many of a name; none outside of the gateway's networks; of an address, that one."""
    identity, root = agent(tmp_path, gateway, *networks)
    identity.settle(line_pb2.Enrolled(deployment="home", root_key=root))
    line = Line(identity, AgentSettings(data=tmp_path), SeededRng(), lambda: None)
    await line._heard(line_pb2.FromTalker(resolved=line_pb2.Resolved(hosts=said)))  # noqa: SLF001
    assert identity.hosts() == open_


async def test_a_forged_answer_does_not_cut_the_way_that_was_known(tmp_path: Path) -> None:
    """The addresses that could be the gateway's stay; others come in their place only from its networks."""
    identity, root = agent(tmp_path, "gateway:2", "192.0.2.0/28")
    identity.settle(line_pb2.Enrolled(deployment="home", root_key=root))
    for said, known in (("192.0.2.7", "192.0.2.7"), ("198.51.100.1", "192.0.2.7"), ("192.0.2.8", "192.0.2.8")):
        identity.keep_hosts([said])
        assert identity.hosts() == [known]
