"""How the demo speaks, and where it pauses."""

import asyncio
import sys

import click


class Narrator:
    """Prints steps and facts; on a terminal it waits at each decision."""

    def __init__(self, *, pauses: bool) -> None:
        """Keep whether to pause."""
        self.pauses = pauses
        self._step = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self._step += 1
        click.echo()
        click.secho(f"{self._step}. {title}", bold=True)

    def fact(self, text: str) -> None:
        """Print what was read back."""
        click.echo(f"   {text}")

    async def pause(self, question: str) -> None:
        """Wait for Enter, if there is somebody to press it."""
        if not self.pauses:
            return
        click.secho(f"   {question} [Enter] ", fg="cyan", nl=False)
        pressed = asyncio.Event()
        loop = asyncio.get_running_loop()
        # A thread that reads could not be interrupted by Ctrl-C.
        loop.add_reader(sys.stdin, pressed.set)
        try:
            await pressed.wait()
            sys.stdin.readline()
        finally:
            loop.remove_reader(sys.stdin)
