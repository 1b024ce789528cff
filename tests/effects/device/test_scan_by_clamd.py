"""Where clamd runs, it is asked as well: by the open file, or by its bytes; without it the scan goes on and says so."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2

from clamav import CLAMD, EICAR, MARKER, clamd
from quarantine_world import Said
from quell_agent import scan, scan_clamd
from quell_agent.effects.run_antivirus_scan import RunAntivirusScan
from quell_agent.scan import Rules
from quell_agent.scan_clamd import Clamd, ClamdLostError
from quell_executor.contract import ACTION
from quell_executor.effect import Reading

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="runs clamd as root"),
    pytest.mark.skipif(not CLAMD.exists(), reason="clamav-daemon is not installed"),
    pytest.mark.skipif(bool(scan.missing()) and "CI" not in os.environ, reason="yara-x is not installed"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """Return the socket of a clamd."""
    with tempfile.TemporaryDirectory() as folder, clamd(Path(folder, "clamd")) as path:
        yield path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return a folder with one file for each engine, one for nobody but root, and a harmless one."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/r.yar").write_text('rule ours { strings: $a = "OUR-MARKER" condition: $a }')
    box = tmp_path / "box"
    box.mkdir()
    for name, content in {"eicar": EICAR, "marker": MARKER, "ours": b"OUR-MARKER", "none": b"harmless"}.items():
        (box / name).write_bytes(content)
    (box / "marker").chmod(0o600)
    return box


async def scanned(box: Path, path: str) -> Reading:
    """Scan the folder."""
    order = device_pb2.RunAntivirusScan(paths=device_pb2.PathScan(paths=[str(box)]), cpu_percent=200)
    reader = RunAntivirusScan(Rules(box.parent / "rules", box.parent / "cache"), (path,))
    return await reader.read(ACTION, order, Said())


async def test_both_engines_find_what_each_knows(running: str, box: Path) -> None:
    """Control: without clamd its finding is missing, and the result names no version of it."""
    found = await scanned(box, running)
    engines = {(Path(i.item.finding.file.path).name, i.item.finding.engine) for i in found.items}
    assert engines == {("eicar", "clamd"), ("marker", "clamd"), ("ours", "yara")}
    assert {i.item.finding.signature for i in found.items} == {
        "Quell.Test.Eicar.UNOFFICIAL",
        "Quell.Test.Marker.UNOFFICIAL",
        "ours",
    }
    assert found.scan is not None
    assert found.scan.clamd_version.startswith("ClamAV ")
    assert not found.scan.left_out
    alone = await scanned(box, "/nowhere/clamd.sock")
    assert [i.item.finding.engine for i in alone.items] == ["yara"]
    assert alone.scan is not None
    assert alone.scan.clamd_version == ""


def test_one_session_asks_of_many_files(running: str, box: Path) -> None:
    """By the open file, and by its bytes, with the same answers; one that was read before is asked from its start."""
    with closing(Clamd(running)) as session:
        for _ in range(3):
            for name, known in (("eicar", ["Quell.Test.Eicar.UNOFFICIAL"]), ("none", [])):
                with (box / name).open("rb") as file:
                    file.read()
                    assert session.signatures(file.fileno(), 100) == known
                    assert session._by_stream(file.fileno()).endswith(b"FOUND") == bool(known)  # noqa: SLF001
        assert session.seconds > 0


def test_what_it_may_not_open_it_is_sent(box: Path, tmp_path: Path) -> None:
    """A clamd that is locked in, so that it may not read the open file, gets the bytes."""
    said: list[bytes] = []
    dialogue = {
        b"zIDSESSION\0zFILDES\0\0": b"1: fd[5]: Access denied. ERROR\0",
        b"zIDSESSION\0zINSTREAM\0": b"1: stream: Quell.Test.Eicar.UNOFFICIAL FOUND\0",
    }

    def serve(listening: socket.socket) -> None:
        for asked, answer in dialogue.items():
            channel, _ = listening.accept()
            channel.settimeout(20)
            with channel, channel.makefile("rb") as source:
                assert source.read(len(asked)) == asked
                channel.sendall(answer)
                said.append(source.read())

    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.settimeout(20)
        serving = pool.submit(serve, listening)
        with (box / "eicar").open("rb") as file, closing(Clamd(str(tmp_path / "s"))) as session:
            assert session.signatures(file.fileno(), 100) == ["Quell.Test.Eicar.UNOFFICIAL"]
        serving.result(20)
    assert said == [b"", len(EICAR).to_bytes(4) + EICAR + bytes(4)]


async def test_one_that_dies_on_the_way_is_told(box: Path) -> None:
    """The scan goes on with our own rules, and says of how many files clamd could not tell."""
    with tempfile.TemporaryDirectory() as folder:
        deaf = socket.socket(socket.AF_UNIX)
        with deaf:
            deaf.setblocking(False)  # noqa: FBT003 - the call's own way
            deaf.bind(f"{folder}/clamd.sock")
            deaf.listen()

            async def answer_once() -> None:
                loop = asyncio.get_running_loop()
                channel, _ = await loop.sock_accept(deaf)
                with channel:
                    await loop.sock_recv(channel, 100)
                    await loop.sock_sendall(channel, b"ClamAV 0\0")
                deaf.close()

            answering = asyncio.create_task(answer_once())
            found = await scanned(box, f"{folder}/clamd.sock")
            await answering
    assert [i.item.finding.engine for i in found.items] == ["yara"]
    assert found.scan is not None
    assert [(left.name, left.reason) for left in found.scan.left_out] == [("clamd", "it could not tell of 4 files")]


def test_nobody_there_is_told(box: Path) -> None:
    """A socket that is gone."""
    with (box / "none").open("rb") as file, pytest.raises(ClamdLostError):
        Clamd("/nowhere").signatures(file.fileno(), 8)
    assert asyncio.run(scan_clamd.found(("/nowhere", str(box)))) == ("", "")
    assert subprocess.run([sys.executable, "-c", "import quell_agent.scan_clamd"], check=True).returncode == 0
