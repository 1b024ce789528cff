"""Who asks is told from `/proc`, and which file systems are asked about from the kernel's own lists."""

import os
import subprocess
from pathlib import Path

import pytest

from quell_agent.execution import mounts, openers
from quell_agent.settings import AgentSettings, ConfigInvalidError


@pytest.mark.parametrize(("program", "so"), [("/bin/bash", True), ("/usr/bin/perl", True), ("/bin/sleep", False)])
def test_programs_that_run_what_they_read(program: str, *, so: bool) -> None:
    """By the name of the program that runs; who is gone might have been one."""
    if not Path(program).exists():
        pytest.skip(f"{program} is not here")
    words = {"/bin/bash": ["-c", "read"], "/usr/bin/perl": ["-e", "<STDIN>"], "/bin/sleep": ["60"]}[program]
    with subprocess.Popen([program, *words], stdin=subprocess.PIPE) as running:  # noqa: S603 - fixed
        assert openers.interprets(running.pid) == so
        running.kill()
    assert openers.interprets(running.pid)


def test_our_own_are_we_and_whom_we_start() -> None:
    """A child is ours; its parent is not its."""
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        assert openers.is_of(child.pid, {os.getpid()})
        assert openers.is_of(child.pid, {child.pid})
        assert not openers.is_of(os.getpid(), {child.pid})
        child.kill()
    assert not openers.is_of(0, {os.getpid()})


def test_local_file_systems_are_found_and_the_kernels_own_are_not() -> None:
    """The root folder's is among them; processes, devices and settings are not."""
    found = mounts.mounted()
    assert found
    assert not {b"/proc/self/root/proc", b"/proc/self/root/sys", b"/proc/self/root/dev"} & set(found.values())
    assert mounts.mounted("/no/such/place") == {}


def test_unguarded_is_open_or_closed(tmp_path: Path) -> None:
    """Anything else is refused by name."""
    config = tmp_path / "agent.toml"
    for written, read in (("", "open"), ("unguarded = 'closed'\n", "closed")):
        config.write_text(f"data = '/data'\n{written}")
        assert AgentSettings.load(config).unguarded == read
    config.write_text("data = '/data'\nunguarded = 'ajar'\n")
    with pytest.raises(ConfigInvalidError, match="unguarded"):
        AgentSettings.load(config)
