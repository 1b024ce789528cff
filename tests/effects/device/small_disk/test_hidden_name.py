"""A file that has a name where nobody can look is not said to be out of reach."""

import os
import subprocess
from pathlib import Path

import pytest

from apart import mount_memory
from quarantine_world import World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


def hide(folder: Path) -> None:
    """Have something else lie over a folder."""
    mount_memory(folder)


def uncover(folder: Path) -> None:
    """Take that away."""
    subprocess.run(["/usr/bin/umount", folder], check=True, timeout=30)  # noqa: S603 - fixed


async def test_a_name_below_a_mount(world: World) -> None:
    """It is counted and not found: told. Control: where both names can be seen, both are taken."""
    mount_memory(world.box)
    folder = world.box / "folder"
    folder.mkdir()
    evil = world.program("evil")
    os.link(evil, folder / "other")
    hide(folder)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["FAILED"]
    assert await world.reasons(plan) == ["OTHER_NAMES"]
    uncover(folder)
    assert (folder / "other").exists()
    second = world.program("second")
    os.link(second, folder / "third")
    assert await world.take(await world.plan(path=str(second))) == ["DONE", "DONE"]
    assert not (folder / "third").exists()
