"""A root folder with every place that starts programs, filled as an intruder fills it."""

import os
from pathlib import Path

from quarantine_world import World, facts, unread

INNOCENT = b"# what the administrator wrote stays\n"
SERVICE = (
    "[Unit]\nDescription=x\n[Service]\nExecStart={evil} -d\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
)
PLACES = {
    "etc/cron.d/up": "MAILTO=\n* * * * * root {evil} -q\n0 3 * * * root /usr/bin/true\n",
    "var/spool/cron/crontabs/alice": "@reboot {evil}\n",
    "etc/cron.daily/clean": "#!/bin/sh\nif [ -x {evil} ]; then\n  {evil} &\nfi\n",
    "home/alice/.bashrc": "alias ll='ls -l'\n({evil} &) 2>/dev/null\nexport X=1\n",
    "etc/profile.d/a.sh": "[ -f {evil} ] && . {evil}\n",
    "etc/ld.so.preload": "/lib/good.so {evil}\n",
    "etc/environment": "A=1\nLD_PRELOAD={evil}\n",
    "home/alice/.ssh/authorized_keys": 'command="{evil}",no-pty ssh-ed25519 AAAAevil k\nssh-ed25519 AAAAgood alice\n',
    "etc/xdg/autostart/a.desktop": "[Desktop Entry]\nExec={evil}\n",
    "etc/udev/rules.d/99-x.rules": 'SUBSYSTEM=="usb", \\\n  RUN+="{evil}"\nSUBSYSTEM=="net", NAME="x"\n',
    "etc/pam.d/sshd": "auth required pam_exec.so {evil}\n@include common-auth\n",
    "etc/sudoers.d/x": "alice ALL=(ALL) NOPASSWD: {evil}\n",
    "etc/rc.local": "#!/bin/sh\nnohup {evil} &\nexit 0\n",
    "etc/init.d/x": "#!/bin/sh\n### BEGIN INIT INFO\n### END INIT INFO\nstart-stop-daemon --start --exec {evil}\n",
    "etc/systemd/system/ssh.service.d/o.conf": "[Service]\nExecStartPre=-{evil}\n",
    "etc/systemd/system/admins.service": "[Service]\nExecStartPre={evil}\nExecStart=/usr/bin/true\n",
    "etc/systemd/system/helper.service": SERVICE,
    "etc/systemd/system/helper.timer": "[Timer]\nOnBootSec=1\n",
    "home/alice/.config/systemd/user/mine.service": "[Service]\nExecStart=/bin/sh -c '{evil}'\n",
}
MASKED = {
    "etc/systemd/system/helper.service",
    "etc/systemd/system/helper.timer",
    "home/alice/.config/systemd/user/mine.service",
    "etc/cron.hourly/link",
    "etc/systemd/system/linked.service",
}
OTHERS = {
    "etc/crontab": "0 3 * * * root /usr/bin/true\n# {evil}\n",
    "etc/cron.d/other": "* * * * * root {evil}-tools\n",
    "etc/systemd/system/other.service": "[Service]\nExecStart=/usr/bin/true\n",
    "etc/systemd/system/other.timer": "[Timer]\nOnBootSec=1\n",
}


class Persistent:
    """The places, for one file."""

    def __init__(self, world: World, evil: Path) -> None:
        """Fill them."""
        self.root, self.evil = world.root, evil
        for name, text in {**PLACES, **OTHERS}.items():
            self.write(name, text)
        self.path("etc/cron.hourly").mkdir()
        self.path("etc/cron.hourly/link").symlink_to(evil)
        (world.box / "linked.service").write_text(SERVICE.format(evil=evil))
        self.path("etc/systemd/system/linked.service").symlink_to(world.box / "linked.service")
        wants = self.path("etc/systemd/system/multi-user.target.wants")
        wants.mkdir()
        (wants / "helper.service").symlink_to("../helper.service")
        self.path("etc/sudoers.d/x").chmod(0o440)
        self.path("home/alice/.ssh/authorized_keys").chmod(0o600)
        for path in self.all():
            if not path.is_symlink():
                os.setxattr(path, "user.note", b"kept")
                os.utime(path, ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
        self.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")

    @property
    def found(self) -> set[str]:
        """Every place that is to be found."""
        return {*PLACES, *MASKED}

    def path(self, name: str) -> Path:
        """Return the path of a place."""
        return self.root / name

    def write(self, name: str, text: str) -> None:
        """Write a file, and the comment that stays."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(INNOCENT + text.format(evil=self.evil).encode())

    def all(self) -> list[Path]:
        """Return every file and link, the list of users aside, which is read for their homes."""
        return sorted(
            path for path in self.root.rglob("*") if path.name != "passwd" and (path.is_symlink() or path.is_file())
        )

    def look(self) -> dict[str, object]:
        """Return everything about all of it, by other means than the agent's; numbers of the files too."""
        seen: dict[str, object] = {str(path): (path.lstat().st_ino, self._facts(path)) for path in self.all()}
        folders = (path for path in self.root.rglob("*") if path.is_dir() and not path.is_symlink())
        return seen | {f"{folder}/": folder.stat().st_mtime_ns for folder in folders}

    def naming(self) -> set[str]:
        """Return the places that name the file on a line that counts."""
        lines = {path: unread(path).splitlines() for path in self.all() if path.is_file() and path.stat().st_size}
        needle = str(self.evil).encode()
        return {
            str(path.relative_to(self.root))
            for path, texts in lines.items()
            if any(needle in text and not text.startswith(b"#") and needle + b"-" not in text for text in texts)
        }

    @staticmethod
    def _facts(path: Path) -> object:
        return path.readlink() if path.is_symlink() else facts(path)
