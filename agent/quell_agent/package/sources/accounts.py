"""Users, groups and who may become root. Hashes of passwords are never taken: how each is locked is."""

from collections.abc import Iterator
from typing import Any

from quell_agent import files
from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine

FILES = (
    *("/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/subuid", "/etc/subgid", "/etc/login.defs"),
    *(
        "/etc/sudoers",
        "/etc/sudoers.d/*",
        "/etc/doas.conf",
        "/etc/polkit-1/rules.d/*",
        "/etc/polkit-1/localauthority/**",
    ),
    *("/usr/share/polkit-1/rules.d/*", "/etc/security/*.conf", "/etc/security/limits.d/*", "/etc/shells"),
    *("/etc/shadow", "/etc/gshadow"),
)
PASSWD, SHADOW, GROUP = 7, 9, 4


def items(machine: Machine) -> Iterator[Item]:
    """Yield the accounts as one list, and the files."""
    yield document("accounts/accounts.json", "/etc/passwd", _accounts(machine))
    yield from machine.copies(FILES)


def _accounts(machine: Machine) -> Iterator[dict[str, Any]]:
    passwords, members = _passwords(machine), dict[str, list[str]]()
    for group in _lines(machine, "/etc/group", GROUP):
        for user in filter(None, group[3].split(",")):
            members.setdefault(user, []).append(group[0])
    for name, _, uid, gid, comment, home, shell in _lines(machine, "/etc/passwd", PASSWD):
        yield {
            "name": name,
            "uid": uid,
            "gid": gid,
            "comment": comment,
            "home": home,
            "shell": shell,
            "groups": members.get(name, []),
            "is_root": uid == "0",
            **passwords.get(name, {}),
        }


def _passwords(machine: Machine) -> dict[str, dict[str, str]]:
    """Return how each account's password is: none, locked, or by which method, and when it was last changed."""
    rows = (line.split(":") for line in machine.text("/etc/shadow").splitlines())
    return {row[0]: {"password": _method(row[1]), "password_change_days": row[2]} for row in rows if len(row) == SHADOW}


def _method(field: str) -> str:
    if not field:
        return "NONE"
    if field[0] in "!*":
        return "LOCKED"
    return field.split("$")[1] if field.count("$") > 1 else "DES"


def _lines(machine: Machine, path: str, fields: int) -> Iterator[list[str]]:
    for line in machine.text(path).splitlines():
        parts = [files.shown(part) for part in line.split(":")]
        if len(parts) == fields:
            yield parts
