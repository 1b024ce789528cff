"""What is planted to mislead, to hold up or to blow up a reader does none of that."""

import asyncio
import os
import socket
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from package_world import Scene
from quell_agent import files
from quell_agent.package.entry_names import entry_of
from quell_agent.package.limits import Limits
from quell_agent.package.machine import Machine
from quell_agent.package.walk import Walk

SECRET = b"what another user keeps to himself"
CRONTABS = "/var/spool/cron/crontabs"
TEMP = "/var/tmp"  # noqa: S108 - within the scene
NAMES = [
    *(b"new\nline", b"not utf-8 \xff\xfe", b"back\\slash", b"..%2F", b'a:b*c?d|e<f>g"h'),
    *(b"trailing. .", b"\x1b[31m", b"q" * 255),
]


async def test_links_are_told_and_never_followed(scene: Scene) -> None:
    """Farms of links to files and folders, absolute, climbing and in circles; control: the file itself is copied."""
    outside = scene.root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    folder = scene.place("/etc/cron.d")
    folder.mkdir(parents=True)
    for number in range(200):
        (folder / f"a{number}").symlink_to(outside / "secret")
        (folder / f"b{number}").symlink_to(f"../../../outside/../outside/{'./' * number}secret")
    (folder / "circle").symlink_to("circle")
    (folder / "folder").symlink_to(outside)
    scene.place("/etc/pam.d").symlink_to(outside)
    scene.place("/etc/systemd").symlink_to("/etc/systemd")
    found = await scene.package()
    assert [name for name in found.zip.namelist() if SECRET in found.zip.read(name)] == []
    assert [found.status(f"/etc/cron.d/{name}") for name in ("a7", "b7", "circle", "folder")] == ["LISTED"] * 4
    (folder / "plain").write_bytes(SECRET)
    assert (await scene.package()).content("/etc/cron.d/plain") == SECRET


async def test_a_file_that_becomes_a_link_is_not_followed(scene: Scene) -> None:
    """Swapped all the time while it is read: never another file's content. Control: who just opens it reads that."""
    outside = scene.root.parent / "secret"
    outside.write_bytes(SECRET)
    place = scene.file("/etc/cron.d/x", "mine")
    machine, link, got = Machine(Walk(str(scene.root))), place.with_name("link"), Counter[bytes]()

    def swap() -> None:
        for _ in range(3000):
            link.symlink_to(outside)
            link.rename(place)
            link.write_text("mine")
            link.rename(place)

    swapping = asyncio.ensure_future(asyncio.to_thread(swap))
    while not swapping.done():
        with suppress(OSError, files.NotAFileError):
            got[b"ours: " + b"".join(machine.file("/etc/cron.d/x").content)] += 1
        got[b"naive: " + place.read_bytes()] += 1
        await asyncio.sleep(0)
    await swapping
    assert got[b"ours: " + SECRET] == 0
    assert got[b"ours: mine"] > 0
    assert got[b"naive: " + SECRET] > 0


@pytest.fixture
def _socket(scene: Scene) -> Iterator[None]:
    """Have a socket lie among the cron tables; its path is short enough relative to its folder."""
    folder = scene.place("/etc/cron.d")
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{descriptor}/socket")
        yield
    os.close(descriptor)


@pytest.mark.usefixtures("_socket")
async def test_what_is_no_file_is_not_opened(scene: Scene) -> None:
    """A pipe that nobody writes to holds nobody up, a socket and a device are told of; control: a file beside them."""
    folder = scene.place("/etc/cron.d")
    os.mkfifo(folder / "pipe")
    if os.geteuid() == 0:
        os.mknod(folder / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mkfifo(scene.place("/home/ann/.bash_history"))
    scene.file("/etc/cron.d/plain", "x")
    found = await scene.package()
    names = ("pipe", "socket", *(["device"] if os.geteuid() == 0 else []))
    assert {found.status(f"/etc/cron.d/{name}") for name in names} == {"LEFT_OUT NOT_A_FILE"}
    assert found.status("/home/ann/.bash_history") == "LEFT_OUT NOT_A_FILE"
    assert found.status("/etc/cron.d/plain") == "COLLECTED"


async def test_giants_are_left_out_and_logs_cut(scene: Scene) -> None:
    """A sparse terabyte costs nothing; of a log too large, the end is there; just within the limit, all is."""
    most = Limits().file_bytes
    for name, size in (("giant", 1 << 40), ("over", most + 1), ("fits", most)):
        os.truncate(scene.file(f"/etc/cron.d/{name}", ""), size)
    log = scene.file("/var/log/big.log", "")
    os.truncate(log, most)
    with log.open("ab") as file:
        file.write(b"the last line")
    found = await scene.package()
    assert found.status("/etc/cron.d/giant") == found.status("/etc/cron.d/over") == "LEFT_OUT TOO_LARGE"
    assert found.status("/etc/cron.d/fits") == "COLLECTED"
    assert found.status("/var/log/big.log") == "CUT TOO_LARGE"
    content = found.content("/var/log/big.log")
    assert (len(content), content[-13:]) == (most, b"the last line")


@pytest.fixture
def in_memory() -> Iterator[Scene]:
    """Return a machine whose files are quickly made and quickly gone."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Scene(Path(folder))


async def test_a_hundred_thousand_files_are_counted_not_carried(in_memory: Scene) -> None:
    """So many of a pattern are copied, the rest is one line; a listing ends as well and says so."""
    scene = in_memory
    for folder in (scene.place(CRONTABS), scene.place(TEMP)):
        folder.mkdir(parents=True)
        for number in range(100_001):
            os.mknod(folder / str(number))
    found = await scene.package()
    limits, ours = Limits(), [item for item in found.items if item["source"] == "autoruns"]
    # One of what the pattern means is the folder itself.
    assert len([item for item in ours if item["path"].startswith(f"{CRONTABS}/")]) == limits.files_of_a_pattern - 1
    (more,) = [item for item in ours if item["path"] == "/var/spool/cron/**"]
    assert (more["reason"], more["message"]) == ("TOO_MANY", f"{100_002 - limits.files_of_a_pattern} more")
    assert len(found.rows("temporary-files/var-tmp.json")) == limits.rows
    told = [item for item in found.items if item["path"] == TEMP and item["status"] == "LEFT_OUT"]
    assert [item["reason"] for item in told] == ["TOO_MANY"]


async def test_names_that_break_tools_are_safe_everywhere(scene: Scene) -> None:
    """Each file comes, under a name of plain letters that leads nowhere else; the manifest has the real one."""
    folder = scene.place("/etc/cron.d")
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_text(str(number))
    found = await scene.package()
    items = [item for item in found.items if item["source"] == "autoruns" and "entry" in item]
    assert sorted(found.zip.read(item["entry"]) for item in items) == [b"%d" % number for number in range(len(NAMES))]
    paths = {item["path"] for item in items}
    assert {"/etc/cron.d/new\nline", "/etc/cron.d/not utf-8 \\xff\\xfe", "/etc/cron.d/back\\\\slash"} <= paths
    for entry in found.zip.namelist():
        assert entry.isascii()
        assert entry.isprintable()
        assert "\\" not in entry
        assert not {"", ".", ".."} & set(entry.split("/"))
        assert all(len(part) < 255 for part in entry.split("/"))


def test_different_names_stay_different() -> None:
    """Also where they only differ far behind, or in what is not plain; and plain ones are as they were."""
    paths = [
        "/a/b",
        "/a%2Fb",
        "/a\nb",
        "/a%0Ab",
        "/" + "x" * 250,
        "/" + "x" * 249 + "y",
        "/a.",
        "/a%2E",
        "/a /b",
        "/a/b ",
    ]
    assert len({entry_of(path) for path in paths}) == len(paths)
    assert entry_of("/etc/cron.d/x-1_2 (3).conf") == "files/etc/cron.d/x-1_2 (3).conf"


def test_growing_and_vanishing_files_are_no_error(tmp_path: Path) -> None:
    """One is read as far as it went when it was looked at; the other is missing, whether before or after the look."""
    log = tmp_path / "log"
    log.write_bytes(b"a" * 10)
    machine = Machine(Walk(str(tmp_path)))
    grows, shrinks, goes = machine.file("/log"), machine.file("/log"), machine.file("/log")
    with log.open("ab") as file:
        file.write(b"b" * 10)
    assert b"".join(grows.content) == b"a" * 10
    os.truncate(log, 3)
    assert b"".join(shrinks.content) == b"aaa"
    log.unlink()
    with pytest.raises(FileNotFoundError):
        b"".join(goes.content)
    assert machine.file("/log").status == "MISSING"
