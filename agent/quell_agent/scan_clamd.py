"""clamd, where it runs: asked over its Unix socket, with the open file handed over, or its bytes where that fails."""

import array
import asyncio
import contextlib
import os
import re
import socket
import time
from pathlib import Path

SOCKETS = ("/run/clamav/clamd.ctl", "/run/clamd.scan/clamd.sock")
"""Where Debian's and Fedora's packages have it."""
ANSWER_SECONDS = 120.0
VERSION_SECONDS = 5.0
ANSWER_BYTES = 64 << 10
STREAM_BYTES = 25 << 20
"""Its own usual limit on what is sent to it."""
FOUND = re.compile(rb": (?P<name>\S+) FOUND$")
BLOCK = 1 << 18


class ClamdLostError(Exception):
    """It does not answer, or not so that it could be understood."""


async def version_of(path: str) -> str:
    """Return what clamd says of itself and its database; empty: it is not there."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(VERSION_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"zVERSION\0")
                return (await reader.read(1000)).rstrip(b"\0").decode(errors="replace")
            finally:
                writer.close()
    return ""


async def found(paths: tuple[str, ...] = SOCKETS) -> tuple[str, str]:
    """Return the socket of a clamd that answers, and its version; empty: there is none."""
    for path in paths:
        if await asyncio.to_thread(Path(path).is_socket) and (version := await version_of(path)):
            return path, version
    return "", ""


class Clamd:
    """One session. `seconds` is how long was waited for answers in all."""

    def __init__(self, path: str) -> None:
        """Connect when it is first asked."""
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""
        self.seconds = 0.0

    def signatures(self, descriptor: int, size: int) -> list[str]:
        """Return the name of the signature that a file has, if it has one.

        Raises:
            ClamdLostError: It can't tell.

        """
        started = time.perf_counter()
        try:
            answer = self._by_descriptor(descriptor)
            if answer.endswith(b"ERROR") and size <= STREAM_BYTES:
                # It may not open what we may: then the bytes must do.
                answer = self._by_stream(descriptor)
        except OSError as error:
            self.close()
            raise ClamdLostError(str(error)) from error
        finally:
            self.seconds += time.perf_counter() - started
        if match := FOUND.search(answer):
            return [match["name"].decode(errors="replace")]
        if answer.endswith(b": OK"):
            return []
        self.close()
        raise ClamdLostError("it can't read the file")

    def close(self) -> None:
        """End the session."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def _by_descriptor(self, descriptor: int) -> bytes:
        # Where it stands in the file belongs to both of us.
        os.lseek(descriptor, 0, os.SEEK_SET)
        channel = self._channel()
        channel.sendall(b"zFILDES\0")
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        channel.sendmsg([b"\0"], [rights])
        return self._answer(channel)

    def _by_stream(self, descriptor: int) -> bytes:
        self.close()
        channel, offset = self._channel(), 0
        channel.sendall(b"zINSTREAM\0")
        while block := os.pread(descriptor, BLOCK, offset):
            channel.sendall(len(block).to_bytes(4) + block)
            offset += len(block)
        channel.sendall(bytes(4))
        return self._answer(channel)

    def _channel(self) -> socket.socket:
        if self._socket is None:
            channel = socket.socket(socket.AF_UNIX)
            channel.settimeout(ANSWER_SECONDS)
            try:
                channel.connect(self._path)
                channel.sendall(b"zIDSESSION\0")
            except OSError:
                channel.close()
                raise
            self._socket = channel
        return self._socket

    def _answer(self, channel: socket.socket) -> bytes:
        while b"\0" not in self._rest:
            received = channel.recv(4096)
            if not received or len(self._rest) > ANSWER_BYTES:
                raise ConnectionResetError("it hung up, or says more than an answer is")
            self._rest += received
        answer, _, self._rest = self._rest.partition(b"\0")
        return answer
