"""The isolation as the agent has it, in a process of its own inside a network namespace, asked by pickled calls.

`python isolation_worker.py DATA PROCESSES NAMES [own]`.
Told to die at a point, it kills itself there, as a power cut would.
"""

import asyncio
import os
import pickle
import signal
import struct
import sys
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from network_lab import GATEWAY, GATEWAY6, PORT, TALKER
from quell_agent.effects.isolate_device import IsolateDevice
from quell_agent.isolation.control import ControlChannel, Endpoint
from quell_agent.isolation.device import Isolation
from quell_agent.isolation.namespaces import Namespaces
from quell_executor.effect import Plan, RefusedError
from quell_executor.progress import Silent

LENGTH = struct.Struct(">I")


def channel(*addresses: str) -> ControlChannel:
    """Return a channel to gateways."""
    return ControlChannel(tuple(Endpoint(ip_address(each), PORT) for each in addresses), TALKER)


class Worker:
    """Answers calls."""

    def __init__(self, data: Path, namespaces: Namespaces, *, own: bool) -> None:
        """Be the agent whose data lies there."""
        self.control = channel(GATEWAY, GATEWAY6)
        self.fate = ""
        isolation = Isolation(data / "isolation", lambda: self.control, namespaces, self.point, own=own)
        self.effect = IsolateDevice(isolation)
        self.running: dict[int, asyncio.Task[object]] = {}

    def point(self, name: str) -> None:
        """Pass a point, or die."""
        if name == self.fate:
            os.kill(os.getpid(), signal.SIGKILL)

    async def call(self, name: str, arguments: tuple[Any, ...]) -> object:
        """Do what is asked."""
        if name == "control":
            self.control = channel(*arguments)
            return None
        if name == "fate":
            (self.fate,) = arguments
            return None
        if name == "apply":
            plan: Plan = arguments[0]
            await self.effect.apply(plan, Silent())
            return None
        return await getattr(self.effect, name)(*arguments)

    def answer(self, number: int, call: "asyncio.Task[object]") -> None:
        """Send what came of a call."""
        if call.cancelled():
            send(number, "cancelled")
        elif (error := call.exception()) is None:
            send(number, "done", call.result())
        elif isinstance(error, RefusedError):
            send(number, "refused", error.failure.reason)
        else:
            send(number, "failed", repr(error))

    async def serve(self) -> None:
        """Answer until nobody asks any more."""
        reader = asyncio.StreamReader(1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        send(0, "ready")
        while head := await reader.read(LENGTH.size):
            number, name, *arguments = pickle.loads(await reader.readexactly(*LENGTH.unpack(head)))  # noqa: S301 - ours
            if name == "cancel":
                self.running[number].cancel()
            else:
                call = self.running[number] = asyncio.create_task(self.call(name, tuple(arguments)))
                call.add_done_callback(partial(self.answer, number))


def send(*answer: object) -> None:
    """Send a message."""
    body = pickle.dumps(answer)
    os.write(OUT, LENGTH.pack(len(body)) + body)


if __name__ == "__main__":
    signal.alarm(600)
    # What is logged must not get between the answers.
    OUT = os.dup(1)
    os.dup2(2, 1)
    data, processes, names = map(Path, sys.argv[1:4])
    asyncio.run(Worker(data, Namespaces(processes, names), own="own" in sys.argv[4:]).serve())
