"""What is done to a file while it is packed is told, or does not matter; what gives no end holds nobody up."""

import os
from datetime import datetime
from pathlib import Path

import pytest
from quell.remediation.v1 import result_pb2

from quell_agent import files
from sample_world import Meddling, Scene, Shelf, refused, scene_in

MIB = 1 << 20
GIANT = 1 << 40


class Losing(Shelf):
    """One that has lost what it took, and with whose answer the file goes away too."""

    path = Path()

    async def stored(
        self, action: str, artifact: result_pb2.Artifact, delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Lose it."""
        del action, artifact, delete_time
        self.path.unlink()
        return None


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a machine without anything on it."""
    return scene_in(tmp_path)


def evil(scene: Scene) -> Path:
    """Make a file of three parts."""
    path = scene.world.box / "evil"
    path.write_bytes(os.urandom(3 * MIB))
    return path


async def test_a_file_that_is_changed_meanwhile_is_refused(scene: Scene) -> None:
    """A byte of its last part, once the first is packed; control: untouched, it is brought."""
    path = evil(scene)
    raw = path.read_bytes()

    def change() -> None:
        with path.open("r+b") as file:
            file.seek(3 * MIB - 1)
            file.write(bytes([raw[-1] ^ 1]))

    scene.said = Meddling(change)
    with refused("FILE_CHANGES"):
        await scene.ask(path)
    assert scene.shelf.asked == []
    path.write_bytes(raw)
    scene.said = Meddling(lambda: None)
    assert scene.opened(await scene.ask(path))[0] == raw


async def test_a_file_that_grows_faster_than_it_is_read_has_an_end(scene: Scene) -> None:
    """What it had at first is brought."""
    path = evil(scene)
    raw = path.read_bytes()

    def grow() -> None:
        with path.open("ab") as file:
            file.write(bytes(2 * MIB))

    scene.said = Meddling(grow)
    assert scene.opened(await scene.ask(path))[0] == raw
    assert path.stat().st_size > len(raw)


async def test_a_file_that_goes_away_before_it_is_packed_again_is_refused(scene: Scene) -> None:
    """Brought before, so not packed; not stored any more, so packed after all; and then gone."""
    path = evil(scene)
    losing = Losing(scene.shelf.folder)
    losing.path = path
    scene.shelf = losing
    await scene.ask(path)
    with refused("FILE_CHANGES"):
        await scene.ask(path, action="other")
    assert not path.exists()


async def test_what_gives_no_end_in_its_time_is_refused(scene: Scene) -> None:
    """Whatever size is allowed; control: with time, the other file is brought."""
    path = evil(scene)
    giant = scene.world.box / "giant"
    giant.touch()
    os.truncate(giant, GIANT)
    scene.seconds = 0
    with refused("TOO_LARGE"):
        await scene.ask(giant, most=2 * GIANT)
    scene.seconds = files.READ_SECONDS
    assert scene.opened(await scene.ask(path))[0] == path.read_bytes()


@pytest.mark.parametrize("made_up", ["/proc/version", "/proc/stat"])
async def test_what_the_kernel_makes_up_is_no_file(scene: Scene, made_up: str) -> None:
    """It says that it is empty; control: a file that is empty is brought."""
    path = evil(scene)
    assert os.stat(made_up).st_size == 0  # noqa: PTH116 - it is at once
    with refused("NOT_A_FILE"):
        await scene.ask(made_up)
    os.truncate(path, 0)
    assert scene.opened(await scene.ask(path))[0] == b""
