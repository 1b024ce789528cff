"""What runs and talks on this machine is told as it is, and not told once it is gone."""

import ctypes
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from package_world import taken


@pytest.fixture
def running(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run what attackers run: a program whose file is gone, one that only memory holds."""
    gone = tmp_path / "gone"
    shutil.copy("/bin/sleep", gone)
    memory = os.memfd_create("payload", 0)
    os.write(memory, Path("/bin/sleep").read_bytes())
    started = {
        "deleted": subprocess.Popen([str(gone), "60"]),  # noqa: S603 - ours
        "memory": subprocess.Popen([f"/proc/self/fd/{memory}", "60"], pass_fds=[memory]),  # noqa: S603 - ours
    }
    gone.unlink()
    try:
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()
        os.close(memory)


def test_running_programs_without_a_file_are_told(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """By path, as deleted, with the digest of what really runs; control: programs with a file are not so marked."""
    package = taken("processes", "network")
    rows = {row["pid"]: row for row in package.rows("processes/processes.json")}
    digest = hashlib.sha256(Path("/bin/sleep").read_bytes()).hexdigest()
    deleted, memory = rows[running["deleted"].pid], rows[running["memory"].pid]
    assert (deleted["deleted"], deleted["sha256"]) == (True, digest)
    assert deleted["exe"].endswith("/gone (deleted)")
    assert (memory["deleted"], memory["sha256"]) == (True, digest)
    assert memory["exe"].startswith("/memfd:payload")
    assert rows[os.getpid()]["deleted"] is False


def test_open_files_and_sockets_are_told_with_who_holds_them(tmp_path: Path) -> None:
    """A file that is open, a port that is listened on, a connection; control: closed, none of them is there."""
    path = tmp_path / "open-one"
    with path.open("w") as held, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            local = "{}:{}".format(*client.getsockname())
            package = taken("processes", "network")
            number = str(held.fileno())
    ours = {row["pid"]: row["files"] for row in package.rows("processes/open-files.json") if "files" in row}
    assert ours[os.getpid()][number] == str(path)
    sockets = {(row.get("local"), row.get("state")): row for row in package.rows("network/sockets.json")}
    assert os.getpid() in sockets[f"127.0.0.1:{port}", "LISTEN"]["pids"]
    assert sockets[local, "ESTABLISHED"]["remote"] == f"127.0.0.1:{port}"
    after = taken("processes", "network")
    assert not [row for row in after.rows("network/sockets.json") if row.get("local") == f"127.0.0.1:{port}"]
    later = {row["pid"]: row["files"] for row in after.rows("processes/open-files.json") if "files" in row}
    assert str(path) not in later[os.getpid()].values()


def test_a_variable_tells_what_is_loaded_and_no_credential() -> None:
    """LD_PRELOAD of a process has its value; another variable has its name and its length."""
    told = {"LD_PRELOAD_X": "/tmp/x.so", "API_TOKEN": "s3cr3t-of-the-test"}  # noqa: S108 - only a word
    process = subprocess.Popen(["/bin/sleep", "60"], env=told)
    try:
        package = taken("processes", "network")
    finally:
        process.kill()
        process.wait()
    variables = {row["pid"]: row.get("variables") for row in package.rows("processes/environment.json")}[process.pid]
    assert variables == {"LD_PRELOAD_X": "/tmp/x.so", "API_TOKEN": len(told["API_TOKEN"])}  # noqa: S108 - only a word
    assert [name for name in package.zip.namelist() if b"s3cr3t-of-the-test" in package.zip.read(name)] == []


def test_memory_that_may_be_written_and_run_is_counted() -> None:
    """One page of it in this process counts; control: before, it did not."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def counted() -> int:
        rows = (taken("processes", "network")).rows("processes/mapped-files.json")
        return int(next(row["writable_code"] for row in rows if row["pid"] == os.getpid()))

    before = counted()
    page = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))
    try:
        assert counted() == before + 1
    finally:
        libc.munmap(page, 4096)
