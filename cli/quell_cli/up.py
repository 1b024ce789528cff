"""`quell up`: a whole deployment on this machine, until Ctrl-C."""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from quell.device.v1 import fleet_service_pb2, fleet_service_pb2_grpc

from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.deployment import Folder, Ports
from quell_cli.processes import Child, check_ports, watch
from quell_runtime.errors import StateError
from quell_runtime.store.opening import only_one

ADMIN = "carol"
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
Tell = Callable[[str], None]


class FolderOpenError(StateError):
    """Others can put their own keys and people into the folder."""

    reason = "FOLDER_OPEN"


@asynccontextmanager
async def running(root: Path, ports: Ports, tell: Tell) -> AsyncIterator[Folder]:
    """Have the deployment of a folder running, made if it is new; at the end it has drained.

    Raises:
        FolderOpenError: Others can write there.
        FolderTakenError: It runs already.
        PortTakenError: A port can't be had.
        StartFailedError: A process did not come up; nothing is left running.

    """
    folder = Folder(root)
    _check_closed(root)
    os.umask(0o077)  # what we and our processes write from here on is for the owner's eyes only
    with only_one(folder.root):
        deployment.make(folder, ports)
        check_ports(ports.all)
        async with AsyncExitStack() as stack:
            for child in _children(folder):
                if child.name == "agent" and not _enrolled(folder):
                    await _give_token(folder)
                stack.push_async_callback(child.stop)
                await child.start()
                tell(f"{child.name} is ready")
                watching = asyncio.create_task(watch(child, tell))
                stack.callback(watching.cancel)
            yield folder


def _check_closed(root: Path) -> None:
    with suppress(FileNotFoundError):
        status = root.stat()
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & OTHERS_WRITE:
            raise FolderOpenError(f"{root}: others can write there: take a folder of your own, or chmod go-w this one")


async def up(root: Path, ports: Ports, tell: Tell) -> None:
    """Run the deployment until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running_it = asyncio.create_task(_until(root, ports, tell, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running_it, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await running_it


async def _until(root: Path, ports: Ports, tell: Tell, stop: asyncio.Event) -> None:
    async with running(root, ports, tell) as folder:
        tell(f"Quell runs in {folder.root}; Ctrl-C stops it")
        await stop.wait()
        tell("draining")


def _children(folder: Folder) -> list[Child]:
    names = {
        "email": "quell_email",
        "device": "quell_device",
        "actioncenter": "quell_actioncenter",
        "agent": "quell_agent",
    }
    return [Child(name, module, folder.config(name), folder.log(name)) for name, module in names.items()]


def _enrolled(folder: Folder) -> bool:
    return (folder.root / "agent" / "identity.pem").exists()


async def _give_token(folder: Folder) -> None:
    """Put a fresh enrolment token where the agent of this machine looks for it."""
    async with Connection.of(folder.config("client"), ADMIN) as connection:
        request = fleet_service_pb2.CreateEnrolmentTokenRequest(tags=["local"])
        request.valid.FromTimedelta(timedelta(minutes=10))
        stub = connection.stub("device", fleet_service_pb2_grpc.FleetServiceStub)
        answer = await stub.CreateEnrolmentToken(request, timeout=20)
    path = folder.root / "agent" / "token"
    path.touch(mode=0o600)
    path.write_text(answer.token, encoding="utf-8")
