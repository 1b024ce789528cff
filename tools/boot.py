"""Install what `make test-boot` stands on, where this is root on Debian; say so, and end with 1 if it is not there."""

import os
import shutil
import sys
from pathlib import Path

import lab

PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}
"""Debian package by the program that tells whether it is there."""


def missing() -> list[str]:
    """Return the packages whose program is not here."""
    return [package for program, package in PACKAGES.items() if shutil.which(program, path=lab.PATH) is None]


def main() -> int:
    """Install what is missing."""
    if missing() and os.geteuid() == 0 and Path(lab.APT).exists():
        lab.install(missing())
    if lacks := missing():
        print(f"boot: {' '.join(lacks)} are missing: apt install them as root on Debian")
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
