"""What a boot does before it starts the guardian again: see that there is a policy to start with, and shut memory.

    python -I -m quell_agent.execution.boot CONFIG FOLDER

It runs before there is a network, and without the agent. `CONFIG` is the agent's file, `FOLDER` the guardian's. If what
is saved can't be read it says so on standard error, and then does what `CONFIG` says of a restriction that nobody
guards: `open` ends with 1, and everything starts until the agent is there; `closed` puts the minimum in its place.
"""

import sys
from pathlib import Path

from quell_agent.execution import memfd, saved
from quell_agent.execution.policy import CLOSED, Policy, own_code
from quell_agent.execution.record import Record
from quell_agent.settings import AgentSettings, ConfigInvalidError

ERROR = "<3>"
"""What a line begins with that systemd's journal is to keep as an error (sd-daemon(3))."""


def main() -> int:
    """Prepare; return 1 if there is nothing to start with."""
    config, folder = map(Path, sys.argv[1:3])
    try:
        saved.read(folder)
    except saved.BrokenError as error:
        _say(f"what may start can't be told: {error}")
        if _unguarded(config) != CLOSED:
            _say("everything starts until the agent makes it right")
            return 1
        _say("only what packages brought, and the agent, starts until the agent makes it right")
        saved.write(folder, Policy(own=own_code(), dead=CLOSED))
    try:
        if memfd.KEY in Record(folder).read():
            memfd.write(memfd.NEVER)
    except (OSError, ValueError, AttributeError) as error:
        _say(f"programs in memory may start until the agent makes it right: {error}")
    return 0


def _unguarded(config: Path) -> str:
    try:
        return AgentSettings.load(config).unguarded
    except ConfigInvalidError as error:
        _say(error.message)
        return ""


def _say(words: str) -> None:
    sys.stderr.write(f"{ERROR}quell-agent: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
