"""The talker as a process: `python -I -m quell_agent.talker LINE FOLDER USER LOG_LEVEL`.

`LINE` and `FOLDER` are descriptors: the line to the executor process, and the talker's own folder, which it could not
reach by its path. It gives up its rights before it hears or reads anything.
"""

import asyncio

# What would be imported later lies where this process may not look by then.
import concurrent.futures.thread  # noqa: F401
import encodings.idna  # noqa: F401
import os
import socket
import sys

from quell.agent.v1 import line_pb2

from quell_agent.frames import Frames
from quell_agent.talker.certificate import Certificate
from quell_agent.talker.confinement import confine
from quell_agent.talker.talker import Talker
from quell_runtime import logs
from quell_runtime.seams import SystemClock, SystemRng


async def serve(line: int) -> None:
    """Talk until the other end of the line is gone."""
    clock = SystemClock()
    frames = await Frames.over(socket.socket(fileno=line), line_pb2.ToTalker)
    await Talker(frames, Certificate(clock), clock, SystemRng()).run()


def main() -> None:
    """Give up every right, then talk."""
    line, folder, user = (int(each) for each in sys.argv[1:4])
    os.fchdir(folder)
    os.close(folder)
    confine(user)
    logs.configure("quell-talker", sys.argv[4])
    asyncio.run(serve(line))


if __name__ == "__main__":
    main()
