"""Telling systemd, where it runs, that units have changed."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from quell_agent.commands import SYSTEMCTL, ProgramLateError, run
from quell_agent.persistence.start import Start

log = structlog.get_logger()
RUNS = Path("/run/systemd/system")
"""There exactly where systemd is the system's manager (sd_booted(3))."""
SECONDS = 20.0


def are_managed() -> bool:
    """Tell whether there is a system manager to tell."""
    return RUNS.is_dir()


async def reload(starts: Sequence[Start], *, stop: bool) -> None:
    """Have the system's manager read its units again, and stop those that are masked now.

    Users' own managers read theirs at the next login. What fails is logged: units stay as the files say, and what runs
    of the file is stopped by its content anyway.
    """
    units = [start.unit for start in starts if start.unit]
    if not units:
        return
    await _systemctl("daemon-reload")
    masked = [start.unit for start in starts if start.unit and start.masked]
    if stop and masked:
        # Without waiting: its processes may be frozen, and are killed next.
        await _systemctl("stop", "--no-block", "--", *masked)


async def _systemctl(*arguments: str) -> None:
    try:
        finished = await run(SYSTEMCTL, *arguments, timeout=SECONDS)
    except (OSError, ProgramLateError) as error:
        log.warning("systemctl_failed", verb=arguments[0], error=type(error).__name__)
        return
    if finished.code != 0:
        log.warning("systemctl_failed", verb=arguments[0], code=finished.code)
