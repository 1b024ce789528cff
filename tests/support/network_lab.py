"""A laboratory of network namespaces: a device, our gateway, other hosts, a container, and a way round.

    gateway 10.90.1.2 --m0-- device --w0-- world 10.90.2.2     (IPv4 and IPv6 fd90:1::/64, fd90:2::/64)
                             device --x0-- world 10.90.3.2     a second interface
                             device --t0-- world 10.90.4.2     a tunnel (vxlan over w0)
    container 10.90.5.2 --br0-- device --br0-- world 10.90.5.9 a bridge with an uplink; routed by the device too
    aside 10.90.6.1 ------------------------- world 10.90.6.2  a namespace with an uplink of its own

Namespaces have no names: each is held by a process, and gone with it. Nothing outside of them is touched.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROLES = Path(__file__).with_name("network_roles.py")
GATEWAY, GATEWAY6, PORT = "10.90.1.2", "fd90:1::2", 4433
WORLD, WORLD6 = "10.90.2.2", "fd90:2::2"
TALKER = 65534
TIME = 600
NAMESPACES = ("device", "gateway", "world", "container", "aside")
LINKS = (
    ("device m0", "gateway e0"),
    ("device w0", "world e0"),
    ("device x0", "world x0"),
    ("container e0", "device c0"),
    ("device b0", "world b0"),
    ("aside e0", "world a0"),
)
ADDRESSES = {
    "device": ("m0 10.90.1.1/24", "m0 fd90:1::1/64", "w0 10.90.2.1/24", "w0 fd90:2::1/64", "x0 10.90.3.1/24"),
    "gateway": ("e0 10.90.1.2/24", "e0 fd90:1::2/64"),
    "world": ("e0 10.90.2.2/24", "e0 fd90:2::2/64", "x0 10.90.3.2/24", "b0 10.90.5.9/24", "a0 10.90.6.2/24"),
    "container": ("e0 10.90.5.2/24",),
    "aside": ("e0 10.90.6.1/24",),
}
ADMINISTRATORS = """\
table inet firewall {
\tset friends {
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = { 10.90.0.0/16 }
\t}

\tchain input {
\t\ttype filter hook input priority filter; policy accept;
\t\tct state established,related accept
\t\tip saddr @friends accept comment "known"
\t\ttcp dport 22 drop
\t}

\tchain output {
\t\ttype filter hook output priority filter + 20; policy accept;
\t\tip daddr @friends accept
\t}
}
table ip nat {
\tchain postrouting {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\toifname "none" masquerade
\t}
}
table netdev policing {
\tchain out {
\t\ttype filter hook egress device "w0" priority filter; policy accept;
\t}
}
"""


def missing() -> str:
    """Return why there can't be a laboratory here; empty: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("nft", "nsenter", "unshare", "ip"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    alone = subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], capture_output=True, check=False)  # noqa: S607 - ours
    return "" if alone.returncode == 0 else "this machine gives no network namespace with nftables"


@dataclass
class Role:
    """A process in a namespace that is asked by lines."""

    process: asyncio.subprocess.Process

    async def ask(self, word: str) -> str:
        """Ask, and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        await self.process.stdin.drain()
        return await self.hear()

    async def hear(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 15)).decode().strip()


@dataclass
class Lab:
    """The laboratory. Entered, it is built; left, it is gone."""

    folder: Path
    pids: dict[str, int] = field(default_factory=dict)
    holders: list[subprocess.Popen[bytes]] = field(default_factory=list)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    far: dict[str, Role] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        """Build it."""
        try:
            self._build()
            for name in ("world", "gateway"):
                self.far[name] = await self.role(name, "far", "53", "853", "443", "22", str(PORT))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every process of it; the namespaces go with them."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        for holder in self.holders:
            holder.kill()
            holder.wait()

    def way(self, namespace: str) -> str:
        """Return the path of a namespace."""
        return f"/proc/{self.pids[namespace]}/ns/net"

    def inside(self, namespace: str, *command: str) -> list[str]:
        """Return a command that runs in a namespace. Not `ip netns exec`, which hides cgroups."""
        return ["nsenter", f"--net={self.way(namespace)}", *command]

    def run(self, namespace: str, *command: str, stdin: str = "", check: bool = True) -> str:
        """Run a command to its end and return what it said."""
        done = subprocess.run(  # noqa: S603 - ours
            self.inside(namespace, *command), input=stdin, capture_output=True, text=True, check=False, timeout=30
        )
        assert not check or done.returncode == 0, (command, done.stderr)
        return done.stdout

    def code(self, namespace: str, *command: str) -> int:
        """Run a command to its end and return its code."""
        return subprocess.run(self.inside(namespace, *command), capture_output=True, check=False, timeout=30).returncode  # noqa: S603 - ours

    def ruleset(self, namespace: str = "device") -> str:
        """Return all rules of a namespace, byte for byte, as an administrator sees them."""
        return self.run(namespace, "nft", "list", "ruleset")

    def nft(self, script: str, namespace: str = "device", *, check: bool = True) -> None:
        """Change rules as another root process does."""
        self.run(namespace, "nft", "-f", "-", stdin=script, check=check)

    async def role(self, namespace: str, *arguments: str) -> Role:
        """Start a role and wait until it is ready."""
        role = Role(await self.start(namespace, sys.executable, str(ROLES), *arguments))
        answer = await role.hear()
        assert answer == "ready", (arguments, answer)
        return role

    async def start(self, namespace: str, *command: str) -> asyncio.subprocess.Process:
        """Start a process in a namespace; it is ended with the laboratory."""
        process = await asyncio.create_subprocess_exec(
            *self.inside(namespace, *command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self.processes.append(process)
        return process

    async def attempt(self, namespace: str, token: str, way: str, *arguments: str) -> str:
        """Try a way out and return how it seemed to whoever tried."""
        process = await self.start(namespace, sys.executable, str(ROLES), "attempt", token, way, *arguments)
        out, _ = await asyncio.wait_for(process.communicate(), 15)
        return out.decode().strip()

    async def heard(self, token: str) -> int:
        """Return how many frames with a token came to any other host."""
        return sum([int(await far.ask(token)) for far in self.far.values()])

    def _build(self) -> None:
        for name in NAMESPACES:
            holder = subprocess.Popen(["unshare", "--net", "sleep", str(TIME)], stdin=subprocess.DEVNULL)  # noqa: S603, S607 - ours
            self.holders.append(holder)
            self.pids[name] = holder.pid
        for holder in self.holders:
            await_program(holder.pid)
        for left, right in LINKS:
            (here, name), (there, other) = left.split(), right.split()
            link = f"link add {name} type veth peer name {other} netns {self.pids[there]}"
            self.run(here, "ip", *link.split())
        for name in NAMESPACES:
            self._settle(name)
        self.run("container", "ip", "route", "add", "default", "via", "10.90.5.1")
        self.run("aside", "ip", "route", "add", "default", "via", "10.90.6.2")
        _system(self, "device", "net/ipv4/ip_forward", "1")
        self.nft(ADMINISTRATORS)
        self._make_discoverable()

    def _settle(self, name: str) -> None:
        commands = ["link set lo up"]
        commands += BRIDGE if name == "device" else []
        for device, address in map(str.split, ADDRESSES[name]):
            commands += [f"addr add {address} dev {device}" + (" nodad" if ":" in address else "")]
        commands += [f"link set {end.split()[1]} up" for ends in LINKS for end in ends if end.split()[0] == name]
        commands += MORE.get(name, [])
        self.run(name, "ip", "-batch", "-", stdin="\n".join(commands))

    def _make_discoverable(self) -> None:
        """Make what an agent looks through for namespaces: of the laboratory's, and of nothing else's."""
        for number, name in {"self": "device", "1": "device", "2": "container", "3": "aside"}.items():
            for place in (f"{number}/ns", f"{number}/task/{number}/ns"):
                folder = self.folder / "proc" / place
                folder.mkdir(parents=True)
                (folder / "net").symlink_to(self.way(name))
        (self.folder / "netns").mkdir()


BRIDGE = [
    "link add br0 type bridge",
    "link set c0 master br0",
    "link set b0 master br0",
    "link set br0 up",
    "addr add 10.90.5.1/24 dev br0",
]
MORE = {
    "device": [
        "link add t0 type vxlan id 3 local 10.90.2.1 remote 10.90.2.2 dstport 4789",
        "addr add 10.90.4.1/24 dev t0",
        "link set t0 up",
    ],
    "world": [
        "link add t0 type vxlan id 3 local 10.90.2.2 remote 10.90.2.1 dstport 4789",
        "addr add 10.90.4.2/24 dev t0",
        "link set t0 up",
        "addr add 10.90.2.3/24 dev e0",
    ],
}


def _system(lab: Lab, namespace: str, name: str, value: str) -> None:
    """Set what the kernel keeps for each namespace: a process in it writes it."""
    lab.run(namespace, "tee", f"/proc/sys/{name}", stdin=value)


def await_program(pid: int) -> None:
    """Wait until a holder has entered its namespace: then it is the program that it becomes."""
    own = Path("/proc/self/ns/net").stat().st_ino
    for _ in range(1_000_000):
        if Path(f"/proc/{pid}/ns/net").stat().st_ino != own:
            return
    raise AssertionError("no namespace")
