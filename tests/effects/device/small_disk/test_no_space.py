"""Where the agent's disk is full, what it would bring in is refused, can be asked for again, and leaves nothing."""

import os
from pathlib import Path

from package_world import Scene as Machine
from sample_world import Meddling, Scene, refused, scene_in
from small_disk import Disk

MIB = 1 << 20
SPARE = 64 * MIB
"""What a sample leaves free."""


def evil(scene: Scene) -> Path:
    """Make a file that can't be packed tighter."""
    path = scene.world.box / "evil"
    path.write_bytes(os.urandom(8 * MIB))
    return path


async def test_a_sample_leaves_room(disk: Disk) -> None:
    """Refused before anything is packed; control: as soon as there is room it is brought."""
    scene = scene_in(disk.folder)
    path = evil(scene)
    disk.fill(SPARE + 4 * MIB)
    with refused("NO_SPACE"):
        await scene.ask(path)
    assert (scene.said.messages, scene.shelf.asked) == (["looking for the file"], [])
    disk.clear()
    disk.fill(SPARE + 40 * MIB)
    assert scene.opened(await scene.ask(path))[0] == path.read_bytes()


async def test_a_disk_that_fills_while_a_sample_is_packed(disk: Disk) -> None:
    """Others take what was free: refused, and nothing is left of what was packed."""
    scene = scene_in(disk.folder)
    path = evil(scene)
    scene.said = Meddling(lambda: disk.fill(0))
    with refused("NO_SPACE"):
        await scene.ask(path)
    assert "packing" in scene.said.messages
    assert (scene.shelf.asked, scene.left) == ([], [])


async def test_a_package_needs_room_for_the_least(disk: Disk) -> None:
    """Refused before anything is read; control: with room, it comes."""
    machine = Machine(disk.folder)
    machine.spool.mkdir(parents=True)
    disk.fill(MIB)
    with refused("NO_SPACE"):
        await machine.read()
    assert (machine.shelf.brought, list(machine.spool.iterdir())) == ([], [])
    disk.clear()
    assert (await machine.package()).status("/etc/passwd") == "COLLECTED"
