"""The disk of a Debian 12 that boots: packages of the machine's sources, the agent's own package, and a witness.

The witness tries all the time, from before there is a network, what an isolated and restricted machine refuses, and
writes down when what came of it. A shell on the second serial port is there as early, for who looks in from outside.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import deb

PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "linux-image-cloud-amd64", "python3", "passwd", "init-system-helpers"),
    *("nftables", "iproute2"),
)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
BUILT_WITHIN = 900
"""Seconds for each program that makes the image; about 75 s are usual for the packages."""
DISK = "2G"
GATEWAY = "10.0.2.2"
"""The machine that runs the boot, as seen from inside: QEMU's user-mode network."""
UNITS = {
    "test-shell.service": """\
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh -c 'stty raw -echo; cat | bash'
StandardInput=tty-force
StandardOutput=tty
TTYPath=/dev/ttyS1
[Install]
WantedBy=sysinit.target
""",
    "test-witness.service": """\
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
ExecStart=/bin/bash /usr/local/lib/witness
[Install]
WantedBy=sysinit.target
""",
    "test-early.service": """\
[Unit]
DefaultDependencies=no
After=quell-agent-isolation.service quell-agent-restriction.service
Wants=network-pre.target
Before=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/local/lib/early
[Install]
WantedBy=sysinit.target
""",
}
EARLY = """\
exec >/run/early 2>&1
/usr/sbin/nft list tables
ip -brief link
if /usr/local/bin/stranger; then echo stranger starts; else echo stranger refused; fi
{guards}
"""
GUARDS = "echo guards $(cat /sys/fs/cgroup/system.slice/quell-agent-restriction.service/cgroup.procs)"
WITNESS = """\
while :; do
  read -r now _ </proc/uptime
  if timeout 2 bash -c ': >/dev/tcp/{gateway}/{port}' 2>/dev/null; then net=open; else net=shut; fi
  echo x 2>/dev/null >/dev/udp/{gateway}/53
  echo x 2>/dev/null >/dev/udp/fec0::3/53
  if /usr/local/bin/stranger 2>/dev/null; then starts=starts; else starts=refused; fi
  echo "$now $net $starts"
  sleep 0.1
done >/run/witness
"""
PATIENCE = {
    "quell-agent": "[Service]\nTimeoutStartSec=300\nWatchdogSec=300\n",
    "quell-agent-restriction": "[Service]\nTimeoutStartSec=300\n",
}
"""An emulated processor is some 30 times slower than a real one."""
NETWORK = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n"


@dataclass(frozen=True)
class Image:
    """A disk, and the kernel and first file system that boot it."""

    disk: Path
    kernel: Path
    initrd: Path


def build(folder: Path, port: int) -> Image:
    """Make one in an empty folder; its witness tries to reach a port of ours.

    Raises:
        subprocess.SubprocessError: It could not be made.

    """
    package = deb.build("0.0.1", folder)
    tree = folder / "tree"
    _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", tree)
    try:
        return _disk(folder, tree, package, port)
    finally:
        shutil.rmtree(tree)


def _disk(folder: Path, tree: Path, package: Path, port: int) -> Image:
    shutil.copy(package, tree / "root/agent.deb")
    _run("chroot", tree, "dpkg", "-i", "/root/agent.deb")
    (tree / "root/agent.deb").unlink()
    for name, text in UNITS.items():
        (tree / "etc/systemd/system" / name).write_text(text, encoding="utf-8")
    for name, text in PATIENCE.items():
        more = tree / f"etc/systemd/system/{name}.service.d"
        more.mkdir()
        (more / "patience.conf").write_text(text, encoding="utf-8")
    (tree / "usr/local/lib/early").write_text(EARLY.format(guards=GUARDS), encoding="utf-8")
    (tree / "usr/local/lib/witness").write_text(WITNESS.format(gateway=GATEWAY, port=port), encoding="utf-8")
    shutil.copy(tree / "usr/bin/true", tree / "usr/local/bin/stranger")
    (tree / "etc/systemd/network/eth0.network").write_text(NETWORK, encoding="utf-8")
    (tree / "etc/fstab").write_text("/dev/vda / ext4 rw 0 1\n", encoding="utf-8")
    (tree / "etc/hostname").write_text("booted\n", encoding="utf-8")
    _run("chroot", tree, "systemctl", "enable", *UNITS, "systemd-networkd")
    image = Image(folder / "disk.img", folder / "vmlinuz", folder / "initrd.img")
    shutil.copy(tree / "vmlinuz", image.kernel)
    shutil.copy(tree / "initrd.img", image.initrd)
    _run("mke2fs", "-q", "-t", "ext4", "-d", tree, image.disk, DISK)
    return image


def _run(*command: str | Path) -> None:
    subprocess.run(  # noqa: S603 - our own arguments
        command, check=True, capture_output=True, timeout=BUILT_WITHIN, env={"PATH": PATH, "LC_ALL": "C.UTF-8"}
    )
