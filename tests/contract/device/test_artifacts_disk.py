"""On a full disk an artifact is refused, room stays for the rest, space heals it; one upload needs little memory."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from artifact_house import MIB, downloaded, handed, uploaded, uploading
from deployment import Deployment
from device_center import center
from device_house import refused, running

SMALL = 100
LARGE = 200
MORE_BYTES = 96 * MIB
"""What the service may need besides while a large artifact goes in and out, client and buffers of both included."""


def may_mount() -> bool:
    """Tell whether we may have a disk of our own."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed


@pytest.mark.skipif(not may_mount(), reason="a small disk can be mounted by root alone")
async def test_on_a_full_disk_it_is_refused_and_space_heals_it(tmp_path: Path) -> None:
    """In a mount namespace of its own, where the service's data lie on a small disk."""
    if "QUELL_TEST_SMALL_DISK" not in os.environ:
        inner = f'mount -t tmpfs -o size={SMALL}m tmpfs "$0" && exec "$@"'
        test = f"{__file__}::test_on_a_full_disk_it_is_refused_and_space_heals_it"
        pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/t", test]
        run = await asyncio.create_subprocess_exec(
            "unshare", "-m", "sh", "-c", inner, str(tmp_path), *pytest_,
            env=os.environ | {"QUELL_TEST_SMALL_DISK": "1"}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(run.communicate(), 90)
        assert run.returncode == 0, said.decode()
        return
    await on_a_full_disk(tmp_path)


@contextmanager
def filled(folder: Path, *, leave: int) -> Iterator[None]:
    """Have the disk full but for so many MiB."""
    filler, status = folder / "filler", os.statvfs(folder)
    filler.write_bytes(bytes(status.f_bavail * status.f_frsize - leave * MIB))
    try:
        yield
    finally:
        filler.unlink()


async def on_a_full_disk(folder: Path) -> None:
    """Fill it but for some MiB, before an upload and in its middle."""
    from deployment import make  # noqa: PLC0415 - only here

    (folder / "d").mkdir()
    async with running(make(folder / "d"), folder) as house, center(house) as found:
        agent = await house.enrolled()
        async with agent.connected():
            action = await handed(found, agent)
            content = os.urandom(8 * MIB)
            with filled(folder, leave=70):
                assert (await refused(lambda: uploaded(agent, action, content))).reason == "STORE_FULL"
                assert await house.device(agent.name)
            async with uploading(agent) as upload:
                await upload.header(action, content)
                await upload.send(content, 0, 2 * MIB)
                await upload.stored(2 * MIB)
                with filled(folder, leave=65):
                    await upload.send(content, 2 * MIB, 5 * MIB)
                    assert (await refused(lambda: upload.stored(5 * MIB))).reason == "STORE_FULL"
                    assert not [path for path in (folder / "device/artifacts").rglob("*") if path.is_file()]
            assert await downloaded(house, await uploaded(agent, action, content)) == content


async def test_a_large_one_needs_little_memory(deployment: Deployment, tmp_path: Path) -> None:
    """In and out; nothing holds it whole, on neither side of this test."""
    content = os.urandom(MIB) * LARGE
    async with running(deployment, tmp_path) as house, center(house) as found:
        agent = await house.enrolled()
        async with agent.connected():
            action, process = await handed(found, agent), psutil.Process()
            before = process.memory_info().rss
            uploading = asyncio.create_task(uploaded(agent, action, content))
            most = before
            while not uploading.done():
                most = max(most, process.memory_info().rss)
                await asyncio.wait([uploading], timeout=0.05)
            assert uploading.result()
            assert most - before < MORE_BYTES, f"{(most - before) / MIB:.0f} MiB"
