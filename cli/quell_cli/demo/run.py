"""Setting the stage of the demo and clearing it again."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.demo.center import Center
from quell_cli.demo.narration import Narrator
from quell_cli.demo.sandbox import RULE, Sandbox
from quell_cli.demo.story import Story
from quell_cli.deployment import DETECTOR, Folder, Ports
from quell_cli.up import running
from quell_runtime.store.opening import only_one

ROOT = Path(".quell") / "demo"


async def demo(ports: Ports, *, pauses: bool) -> None:
    """Run the main job once; whatever ends it, nothing of it is left running."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    narrator = Narrator(pauses=pauses)
    click.echo("Quell's main job, once, on real files, processes and mail. Every fact is read back.")
    async with _stage(ports, narrator) as story:
        await story.tell()
        await narrator.pause("The services run until you press Enter.")
    click.echo("\nStopped; nothing is left running.")


@asynccontextmanager
async def _stage(ports: Ports, narrator: Narrator) -> AsyncIterator[Story]:
    folder, sandbox = _clean(ports)
    async with AsyncExitStack() as stack:
        stack.callback(sandbox.stop)
        sandbox.make()
        await stack.enter_async_context(running(folder.root, ports, lambda line: click.echo(f"   {line}")))
        profile = folder.config("client")
        people = [await stack.enter_async_context(Connection.of(profile, who)) for who in (DETECTOR, "ann", "bob")]
        yield Story(Center(*people), sandbox, folder, narrator)


def _clean(ports: Ports) -> tuple[Folder, Sandbox]:
    """Lay out a fresh deployment and return where; what an earlier demo left is thrown away."""
    folder = Folder(ROOT.absolute())
    with only_one(folder.root):
        for path in folder.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    deployment.make(folder, ports)
    (folder.root / "rules" / "demo.yar").write_text(RULE, encoding="utf-8")
    return folder, Sandbox(folder.root / "sandbox")
