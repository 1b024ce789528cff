"""What only a program can tell: by the agent's table of programs, bounded in time and size."""

import asyncio
from pathlib import Path

from quell_agent import commands
from quell_agent.package.item import Item, Status, text_of

SECONDS = 20.0


def output(entry: str, program: Path, *arguments: str, seconds: float = SECONDS) -> Item:
    """Return what a program says. One that is not here, fails or takes too long is an item that says so."""
    command = (str(program), *arguments)
    try:
        said = asyncio.run(commands.run(program, *arguments, timeout=seconds))
    except FileNotFoundError:
        return Item(Status.FAILED, command=command, reason="NOT_INSTALLED", message="there is no such program")
    except commands.ProgramLateError as error:
        return Item(Status.FAILED, command=command, reason="OUT_OF_TIME", message=str(error))
    except OSError as error:
        return Item(Status.FAILED, command=command, reason="NOT_PERMITTED", message=error.strerror or "")
    if said.code and not said.out:
        message = text_of(said.err[:500].strip())
        return Item(Status.FAILED, command=command, reason="PROGRAM_FAILED", message=f"code {said.code}: {message}")
    facts = {"exit_code": said.code}
    return Item(Status.COLLECTED, "", command, entry, facts=facts, content=(said.out,), most_bytes=len(said.out))
