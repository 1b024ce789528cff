"""Install the Debian packages that tests of real effects stand on, where this is root on Debian; say what is missing.

It needs nothing but Python, and never fails: a test whose package is missing skips with its reason.
"""

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "nft": "nftables",
    "ip": "iproute2",
    "ping": "iputils-ping",
    "getfacl": "acl",
    "getfattr": "attr",
    "setcap": "libcap2-bin",
    "clamd": "clamav-daemon",
    "mmdebstrap": "mmdebstrap",
    "unzip": "unzip",
    "pgrep": "procps",
    "imap": "dovecot-imapd",
    "lmtp": "dovecot-lmtpd",
    "managesieve": "dovecot-managesieved",
    "sieve-test": "dovecot-sieve",
    "postfix": "postfix",
}
"""Debian package by the program that tells whether it is there."""
APT = "/usr/bin/apt-get"
QUIET = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    # Tests start their own servers: what a package would start on its default ports stays down.
    "RUNLEVEL": "1",
    "SYSTEMD_OFFLINE": "1",
}
LIMIT = 600
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/dovecot"


def missing() -> list[str]:
    """Return the packages whose program is not here."""
    return [package for program, package in PACKAGES.items() if shutil.which(program, path=PATH) is None]


def install(packages: list[str]) -> None:
    """Install them, from the machine's own package sources."""
    print(f"lab: installing {' '.join(packages)} for tests of real effects, once")
    for command in ([APT, "update", "-q"], [APT, "install", "-qy", "--no-install-recommends", *packages]):
        try:
            done = subprocess.run(  # noqa: S603 - fixed commands and package names
                command, env=os.environ | QUIET, capture_output=True, text=True, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"lab: {command[1]} took more than {LIMIT} s")
            return
        if done.returncode:
            print(f"lab: apt-get {command[1]} failed: {done.stderr.strip().splitlines()[-1:]}")


def main() -> None:
    """Install what is missing, if that is possible, and name what is not there."""
    wanted = missing()
    if wanted and os.geteuid() == 0 and Path("/etc/debian_version").exists() and Path(APT).exists():
        install(wanted)
        wanted = missing()
    if wanted:
        print(f"lab: not here, so some tests will skip: apt install {' '.join(wanted)}")


if __name__ == "__main__":
    main()
