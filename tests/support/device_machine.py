"""The first process of a machine of its own: it puts the root folder on a copy, runs the agent, and inherits orphans.

    device_machine.py SCRATCH CONFIG      "machine" once it stands, "ready" whenever the agent is connected

It is run in new namespaces of mounts, processes, names and networks. The agent is started again when it ends, unless it
ended well. Nothing of the machine that it is a copy of is written to, watched or restarted.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import apart
from quell_agent.execution import mounts

NAME = "lab-7"
LONGEST = 900
"""Seconds after which all of it ends."""
WELL = 0


def main(scratch: Path, config: str) -> None:
    """Be the first process."""
    signal.alarm(LONGEST)
    socket.sethostname(NAME)
    outside = {os.stat(path).st_dev for path in ("/", "/tmp", "/dev/shm")}  # noqa: S108, PTH116
    apart.stand_on_copy(scratch / "copy")
    Path("/etc/hostname").write_text(f"{NAME}\n")
    watched = {os.makedev(*map(int, device.split(":"))) for device in mounts.mounted()}
    assert watched, "nothing of it could be watched"
    assert not watched & outside, "the machine itself would be watched"
    sys.stdout.write("machine\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "quell_agent", "--config", config]
    while True:
        agent = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
        while (ended := os.wait())[0] != agent.pid:
            continue
        if os.waitstatus_to_exitcode(ended[1]) == WELL:
            signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
