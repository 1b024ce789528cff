"""A test run apart: in a process of its own, in namespaces of mounts and processes of its own, and never for long.

What a test mounts, watches or sets there is gone with its last process; and all of them are killed when its time is
over, or when whoever runs the tests is.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol

LONGEST = 90.0
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def run_apart(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test apart, and report of it as if it had been run here: the body of `pytest_runtest_protocol`."""
    hook = item.config.hook
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for written in _reports(item):
        item.ihook.pytest_runtest_logreport(
            report=hook.pytest_report_from_serializable(config=item.config, data=written)
        )
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What tests before it have set up here, and none after it needs, is taken down as after any test.
    item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - pytest has no other word for it
    return True


def _reports(item: pytest.Item) -> list[dict[str, Any]]:
    def test() -> str:
        # As if another test of its folder came next: what others stand on as well is not this process's to take down.
        reports = runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
        to_text = item.config.hook.pytest_report_to_serializable
        return json.dumps([to_text(config=item.config, report=report) for report in reports], default=str)

    said = in_namespaces(test)
    if said:
        found: list[dict[str, Any]] = json.loads(said)
        return found
    crash = f"{item.nodeid}: it did not come to its end within {LONGEST:g} s, or its process died"
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", crash, "call")
    return [item.config.hook.pytest_report_to_serializable(config=item.config, report=report)]


def in_namespaces(work: Callable[[], str]) -> str:
    """Run something as the first process of new namespaces, and return what it returns; empty: it never came to that.

    Needs root. `/proc` is the new namespace's own. The first process ends with its parent, and with it all others.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _leave(writer, work)
    os.close(writer)
    try:
        return _read(reader).decode()
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _leave(writer: int, work: Callable[[], str]) -> NoReturn:
    """Make the namespaces, be their outside for the time of the work, and end."""
    code = 1
    # What other tests left is not this process's to collect: threads that it stands on are not here.
    gc.freeze()
    try:
        _die_with_parent()
        _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWPID))
        _checked(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        first = os.fork()
        if not first:
            _be_first(writer, work)
        os.close(writer)
        os.waitpid(first, 0)
        code = 0
    except BaseException:  # noqa: BLE001 - a process that must end here, whatever happens
        traceback.print_exc()
    finally:
        os._exit(code)


def _be_first(writer: int, work: Callable[[], str]) -> NoReturn:
    """Be who inherits processes that nobody waits for, and have the work done by another."""
    try:
        _die_with_parent()
        _checked(_libc.mount(b"proc", b"/proc", b"proc", 0, None))
        worker = os.fork()
        if not worker:
            _work(writer, work)
        os.close(writer)
        while os.wait()[0] != worker:
            continue
    except BaseException:  # noqa: BLE001 - as above
        traceback.print_exc()
    finally:
        os._exit(0)


def _work(writer: int, work: Callable[[], str]) -> NoReturn:
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as out:
            out.write(work())
    except BaseException:  # noqa: BLE001 - as above
        traceback.print_exc()
    finally:
        os._exit(0)


def _read(reader: int) -> bytes:
    end, said = time.monotonic() + LONGEST, bytearray()
    while (left := end - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            break
        piece = os.read(reader, 1 << 16)
        if not piece:
            return bytes(said)
        said += piece
    return b""


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Bystander:
    """A process that is no descendant of whoever made it, and runs commands for it: what a user of the machine is."""

    def __init__(self) -> None:
        """Start it. It ends with its namespace."""
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if not child:
            if not os.fork():
                _stand_by(asked)
            os._exit(0)
        os.waitpid(child, 0)
        asked.close()

    def __del__(self) -> None:
        """Hang up."""
        self._asking.close()

    def run(self, words: Sequence[str], limit: float) -> str:
        """Run a command to its end, and return what it said, or why it did not."""
        self._asking.send(json.dumps([list(words), limit]).encode())
        return self._asking.recv(1 << 16).decode()


def _stand_by(asked: socket.socket) -> NoReturn:
    try:
        while said := asked.recv(1 << 16):
            asked.send(_outcome(*json.loads(said)).encode()[: 1 << 15])
    finally:
        os._exit(0)


def _outcome(words: Sequence[str], limit: float) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    try:
        done = subprocess.run(  # noqa: S603 - a test's
            words, capture_output=True, text=True, timeout=limit, check=False, env=environment, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        return os.strerror(error.errno or 0)
    except subprocess.TimeoutExpired:
        return "no answer"
    return done.stdout + done.stderr


def mount_memory(place: Path) -> None:
    """Mount a new file system in memory: root's alone to write to."""
    place.mkdir(parents=True, exist_ok=True)
    _checked(_libc.mount(b"quell-scratch", os.fsencode(place), b"tmpfs", 0, b"size=192m,mode=0755"))


def stand_on_copy(place: Path) -> None:
    """Have this namespace's root folder be a copy of the machine's, on a file system of its own; the machine's is gone.

    What is written goes to memory. Only apart: everything in this namespace of mounts goes along.
    """
    mount_memory(place)
    upper, work, root = (place / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir(mode=0o755)
    _checked(
        _libc.mount(b"copy", os.fsencode(root), b"overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}".encode())
    )
    _checked(_libc.mount(b"proc", os.fsencode(root / "proc"), b"proc", 0, None))
    # Not what lies below it: file systems in memory that the machine uses.
    _checked(_libc.mount(b"/dev", os.fsencode(root / "dev"), None, MS_BIND, None))
    (root / "machine").mkdir()
    subprocess.run(["/usr/sbin/pivot_root", root, root / "machine"], check=True)  # noqa: S603 - fixed
    os.chdir("/")
    _checked(_libc.umount2(b"/machine", MNT_DETACH))
