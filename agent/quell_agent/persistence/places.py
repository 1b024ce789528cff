"""Where on a Linux system something can stand that starts programs by itself."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quell_agent import files
from quell_agent.persistence.syntax import APT, DESKTOP, LINE, PAM, RULE, SHELL, SUDO, UNIT, WORDS, Syntax

UNIT_FOLDERS = ("etc", "run", "usr/lib", "lib", "usr/local/lib")
SYSTEM: tuple[tuple[Syntax, tuple[str, ...]], ...] = (
    (UNIT, tuple(f"{top}/systemd/{which}/**/*" for top in UNIT_FOLDERS for which in ("system", "user"))),
    (LINE, ("etc/crontab", "etc/anacrontab", "etc/cron.d/*", "var/spool/cron/*", "var/spool/cron/crontabs/*")),
    (SHELL, ("etc/cron.hourly/*", "etc/cron.daily/*", "etc/cron.weekly/*", "etc/cron.monthly/*")),
    (SHELL, ("var/spool/cron/atjobs/*", "var/spool/at/*", "etc/init.d/*", "etc/rc*.d/*", "etc/rc.local")),
    (SHELL, ("etc/profile", "etc/profile.d/*", "etc/bash.bashrc", "etc/bashrc", "etc/zsh/*", "etc/zshenv")),
    (SHELL, ("etc/update-motd.d/*", "etc/X11/Xsession.d/*", "etc/network/if-*.d/*", "etc/ppp/ip-*.d/*")),
    (SHELL, ("etc/NetworkManager/dispatcher.d/**/*", "etc/dhcp/dhclient-*-hooks.d/*", "etc/ssh/sshrc")),
    (WORDS, ("etc/ld.so.preload", "etc/environment", "etc/environment.d/*", "etc/security/pam_env.conf")),
    (DESKTOP, ("etc/xdg/autostart/*", "usr/share/autostart/*")),
    (RULE, ("etc/udev/rules.d/*", "run/udev/rules.d/*", "usr/lib/udev/rules.d/*", "lib/udev/rules.d/*")),
    (RULE, ("etc/modprobe.d/*", "usr/lib/modprobe.d/*", "etc/inittab")),
    (LINE, ("etc/ssh/sshd_config", "etc/ssh/sshd_config.d/*")),
    (PAM, ("etc/pam.d/*", "usr/lib/pam.d/*", "etc/pam.conf")),
    (SUDO, ("etc/sudoers", "etc/sudoers.d/*")),
    (APT, ("etc/apt/apt.conf", "etc/apt/apt.conf.d/*")),
)
OF_EACH_USER: tuple[tuple[Syntax, tuple[str, ...]], ...] = (
    (UNIT, (".config/systemd/user/**/*", ".local/share/systemd/user/**/*")),
    (SHELL, (".bashrc", ".profile", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".ssh/rc")),
    (SHELL, (".zshrc", ".zprofile", ".zshenv", ".zlogin", ".xprofile", ".xinitrc", ".xsession", ".config/fish/*.fish")),
    (WORDS, (".pam_environment", ".config/environment.d/*")),
    (LINE, (".ssh/authorized_keys", ".ssh/authorized_keys2")),
    (DESKTOP, (".config/autostart/*",)),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or a link, that can start something. `home` is its user's folder; empty for the system's."""

    path: str
    syntax: Syntax
    home: str = ""

    @property
    def unit(self) -> str:
        """The unit that it makes, if it is a file of systemd's system manager and no addition to one."""
        folder, _, name = self.path.rpartition("/")
        return name if self.syntax is UNIT and folder.endswith("/systemd/system") else ""


class Places:
    """All of them below a root folder."""

    def __init__(self, root: str = "/") -> None:
        """Take the root folder; another one than `/` is looked at, never started from."""
        self.root = root

    def __iter__(self) -> Iterator[Place]:
        """Yield each that is there once, by a path of which no folder is a link."""
        seen: set[str] = set()
        for place in self._all():
            folder, _, name = place.path.rpartition("/")
            path = f"{files.resolved(folder).rstrip('/')}/{name}"
            if path not in seen:
                seen.add(path)
                yield Place(path, place.syntax, place.home)

    def _all(self) -> Iterator[Place]:
        for syntax, patterns in SYSTEM:
            yield from (Place(path, syntax) for path in self._there(self.root, patterns))
        for home in self._homes():
            for syntax, patterns in OF_EACH_USER:
                folder = f"{self.root.rstrip('/')}{home}"
                yield from (Place(path, syntax, home) for path in self._there(folder, patterns))

    def _there(self, folder: str, patterns: tuple[str, ...]) -> Iterator[str]:
        for pattern in patterns:
            for path in glob.iglob(pattern, root_dir=folder, recursive=True, include_hidden=True):  # noqa: PTH207 - as below
                full = f"{folder.rstrip('/')}/{path}"
                if os.path.islink(full) or os.path.isfile(full):  # noqa: PTH113, PTH114 - a path here is a str
                    yield full

    def _homes(self) -> list[str]:
        users = Path(self.root, "etc/passwd")
        entries = users.read_text("utf-8", "surrogateescape").splitlines() if users.is_file() else []
        found = {fields[5].rstrip("/") for entry in entries if len(fields := entry.split(":")) > 6}  # noqa: PLR2004
        # Some are not on the list: a folder left behind, users that come from the network.
        found |= {f"/home/{name}" for name in glob.iglob("*", root_dir=f"{self.root.rstrip('/')}/home")}  # noqa: PTH207
        return sorted(home for home in found | {"/root"} if home.count("/") and os.path.normpath(home) == home)
