"""The talker as the executor process sees it: a process that it starts, and believes as little as a gateway."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quell.agent.v1 import line_pb2

from quell_agent.commands import DEVNULL, Child, spawn
from quell_agent.frames import Frames
from quell_agent.settings import AgentSettings
from quell_agent.talker import user

MODULE = "quell_agent.talker"


@asynccontextmanager
async def talking(settings: AgentSettings) -> AsyncIterator[Frames[line_pb2.FromTalker]]:
    """Start a talker, and end it."""
    folder, whose = user.prepared(settings.data)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        child, arguments = Child(descriptors=(theirs.fileno(), held)), (theirs.fileno(), held, whose)
        # What is said on our output, that the agent is ready, is not the talker's to say.
        process = await spawn(MODULE, *map(str, arguments), settings.log_level, child=child, stdout=DEVNULL)
    finally:
        theirs.close()
        os.close(held)
    line = await Frames.over(ours, line_pb2.FromTalker)
    try:
        yield line
    finally:
        line.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
