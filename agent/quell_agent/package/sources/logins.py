"""Log-ins: who is logged in, who was, and who tried."""

import ipaddress
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from quell_agent.package.item import Item, document, text_of
from quell_agent.package.machine import Machine

RECORD = struct.Struct("=h2xi32s4s32s256shhiii16s20x")
"""`struct utmp` of glibc, the same on all machines that keep 32-bit times in it."""
KINDS = ("", "RUN_LEVEL", "BOOT", "NEW_TIME", "OLD_TIME", "INIT", "LOGIN", "USER", "DEAD", "ACCOUNTING")
LAST = struct.Struct("=I32s256s")
RECORDS = {"/run/utmp": "now", "/var/log/wtmp": "past", "/var/log/btmp": "failed"}
FILES = (
    *("/var/log/wtmp*", "/var/log/btmp*", "/run/utmp", "/var/log/faillog", "/var/lib/faillock/*", "/run/faillock/*"),
    *("/var/lib/wtmpdb/*", "/var/lib/lastlog/*", "/run/systemd/sessions/*", "/run/systemd/users/*"),
)
UID = 2


def items(machine: Machine) -> Iterator[Item]:
    """Yield the records as people read them, and the files as they are."""
    for path, name in RECORDS.items():
        records = machine.file(path, tail=True)
        if records.entry:
            with suppress(OSError):
                rows = _records(b"".join(records.content))
                yield document(f"log-ins/{name}.json", records.path, rows)
    yield document("log-ins/last.json", "/var/log/lastlog", _last(machine))
    yield from machine.copies(FILES)


def _records(raw: bytes) -> Iterator[dict[str, Any]]:
    for at in range(0, len(raw) - RECORD.size + 1, RECORD.size):
        kind, pid, line, _, user, host, _, _, session, seconds, _, address = RECORD.unpack_from(raw, at)
        yield {
            "type": KINDS[kind] if 0 <= kind < len(KINDS) else kind,
            "time": seconds,
            "user": _text(user),
            "line": _text(line),
            "host": _text(host),
            "address": _address(address),
            "pid": pid,
            "session": session,
        }


def _text(raw: bytes) -> str:
    return text_of(raw.partition(b"\0")[0])


def _address(raw: bytes) -> str:
    short = not any(raw[4:])
    return str(ipaddress.ip_address(raw[:4] if short else raw)) if any(raw) else ""


def _last(machine: Machine) -> Iterator[dict[str, Any]]:
    """Yield each user's last log-in. The file is as long as the highest user id, and mostly a hole."""
    users = [line.split(":") for line in machine.text("/etc/passwd").splitlines()]
    with suppress(OSError), machine.walk.folder("/var/log") as folder:
        log = os.open("lastlog", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            for user in users:
                if len(user) > UID and user[UID].isdecimal():
                    raw = os.pread(log, LAST.size, int(user[UID]) * LAST.size)
                    if len(raw) == LAST.size and any(raw):
                        seconds, line, host = LAST.unpack(raw)
                        yield {"user": user[0], "time": seconds, "line": _text(line), "host": _text(host)}
        finally:
            os.close(log)
