"""What a server of scripts may say wrongly, or somebody between it and us: refused in time, and nothing is believed."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from forwarding_desk import ANN, known
from quell_email.domain.forwards import RULE, Script
from quell_email.imap.forwards import ServerForwards
from quell_email.imap.managesieve import SieveServer
from quell_executor.effect import RefusedError
from quell_runtime.addresses import Address

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GREETING = b'"IMPLEMENTATION" "x"\r\nOK "ready"\r\n'
OLD = Script("mine", RULE, b"keep;", active=True, name="mine")
NEW = replace(OLD, content=b"stop;")
LISTED = b'"mine" ACTIVE\r\n{3+}\r\n\xc3\xa9x\r\n"a \\"b\\" \\\\c"\r\nOK\r\n'


@asynccontextmanager
async def served(tmp_path: Path, answers: Callable[[Streams], Awaitable[None]]) -> AsyncIterator[ServerForwards]:
    """Have a server that answers so; yield the backend over it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answers((reader, writer))
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1")
    async with listening:
        (tmp_path / "password").write_text("secret\n")
        address = Address("127.0.0.1", listening.sockets[0].getsockname()[1])
        yield ServerForwards(
            SieveServer(address=address, tls="none", master_user="exec", master_password=tmp_path / "password"), known
        )


def saying(*answers: bytes, heard: list[bytes] | None = None) -> Callable[[Streams], Awaitable[None]]:
    """Greet, and answer each command in turn, whatever it is; then hang up."""

    async def converse(streams: Streams) -> None:
        reader, writer = streams
        writer.write(GREETING)
        for answer in answers:
            line = await reader.readline()
            while line.endswith(b"+}\r\n"):
                size = int(line[line.rindex(b"{") + 1 : -4])
                line += await reader.readexactly(size) + await reader.readline()
            if heard is not None:
                heard.append(line)
            writer.write(answer)
            await writer.drain()

    return converse


async def test_names_come_in_every_way_that_the_protocol_has(tmp_path: Path) -> None:
    """Quoted with escapes, and as literals; what is gone meanwhile is left out."""
    gone = b'NO (NONEXISTENT) "gone"\r\n'
    answers = (b"OK\r\n", LISTED, b'"keep;"\r\nOK\r\n', b"{6}\r\n#a\r\nb\n\r\nok\r\n", gone)
    async with served(tmp_path, saying(*answers)) as forwards:
        found = await forwards.read(ANN)
    assert [(script.name, script.content, script.active) for script in found] == [
        ("mine", b"keep;", True),
        ("\u00e9x", b"#a\r\nb\n", False),
    ]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((b"NO\r\n",), "MAILBOX_UNKNOWN"),
        ((b'BYE (TRYLATER) "busy"\r\n',), "BACKEND_AWAY"),
        ((b"OK\r\n", b'NO (TRYLATER) "busy"\r\n'), "BACKEND_AWAY"),
        ((b"OK\r\n", b"NO {4}\r\nwhat\r\n"), "SCRIPT_REFUSED"),
        ((b"OK\r\n", b"{999999999}\r\n"), "SCRIPT_REFUSED"),
        ((b"OK\r\n", b"OK\r\n"), None),
        ((b"OK\r\n", b'"mine" ACTIVE\r\nOK\r\n', b"OK\r\n"), "BACKEND_AWAY"),
        ((b"OK\r\n", b"\r\nOK\r\n"), "BACKEND_AWAY"),
        ((b"OK\r\n", b'"mi'), "BACKEND_AWAY"),
        ((b"OK\r\n", b"x" * (5 << 20)), "BACKEND_AWAY"),
        ((), "BACKEND_AWAY"),
    ],
)
async def test_a_wrong_answer_is_refused_with_a_reason(
    tmp_path: Path, answers: tuple[bytes, ...], reason: str | None
) -> None:
    """No reason: there are no scripts."""
    async with served(tmp_path, saying(*answers)) as forwards:
        if reason is None:
            assert await forwards.read(ANN) == []
            return
        with pytest.raises(RefusedError) as refused:
            await forwards.read(ANN)
    assert refused.value.failure.reason == reason


async def test_a_password_is_said_to_the_server_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in what was sent, and in no refusal or log of it."""
    heard: list[bytes] = []
    async with served(tmp_path, saying(b'NO "not you"\r\n', heard=heard)) as forwards:
        with pytest.raises(RefusedError) as refused:
            await forwards.read(ANN)
    secret = b64encode(f"\0{ANN}*exec\0secret".encode())
    assert secret in heard[0]
    said = str(refused.value) + "".join(capsys.readouterr())
    assert "secret" not in said
    assert secret.decode() not in said


async def test_what_is_said_before_the_handshake_is_not_believed_after_it(tmp_path: Path) -> None:
    """A man in the middle lets us ask for TLS and puts answers in front of it: no password is said to anybody."""
    heard: list[bytes] = []
    forged = b'OK "begin TLS"\r\n' + GREETING + b"OK\r\n" + LISTED
    async with served(tmp_path, saying(forged, b"", heard=heard)) as plain:
        server = plain._server.model_copy(update={"tls": "starttls"})  # noqa: SLF001 - as an operator configures it
        with pytest.raises(RefusedError, match="BACKEND_AWAY"):
            await ServerForwards(server, known).read(ANN)
    assert heard[0] == b"STARTTLS\r\n"
    assert not any(b"AUTHENTICATE" in line for line in heard)


async def test_a_script_that_the_server_did_not_take_is_not_said_to_be_there(tmp_path: Path) -> None:
    """It says OK to a replacement, and has the old one still."""
    answers = (b"OK\r\n", b'"keep;"\r\nOK\r\n', b"OK\r\n", b'"keep;"\r\nOK\r\n')
    heard: list[bytes] = []
    async with served(tmp_path, saying(*answers, heard=heard)) as forwards:
        assert not await forwards.replace(ANN, OLD, NEW)
    assert [line.split()[0] for line in heard] == [b"AUTHENTICATE", b"GETSCRIPT", b"PUTSCRIPT", b"GETSCRIPT"]


async def test_who_is_cancelled_waits_until_a_script_is_whole(tmp_path: Path) -> None:
    """The server has half of it; the cancellation is let through once it has all."""
    put = asyncio.Event()
    going = asyncio.Event()

    async def slow(streams: Streams) -> None:
        reader, writer = streams
        await saying(b"OK\r\n", b'"keep;"\r\nOK\r\n')((reader, writer))
        assert (await reader.readline()).startswith(b"PUTSCRIPT")
        put.set()
        await going.wait()
        writer.write(b'OK\r\n"stop;"\r\nOK\r\n')
        await writer.drain()

    async with served(tmp_path, slow) as forwards:
        replacing = asyncio.create_task(forwards.replace(ANN, OLD, NEW))
        await put.wait()
        replacing.cancel()
        await asyncio.sleep(0)
        assert not replacing.done()
        going.set()
        with pytest.raises(asyncio.CancelledError):
            await replacing
