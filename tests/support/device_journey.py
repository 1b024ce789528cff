"""A deployment, and a machine that it looks after: the real processes of both, each in namespaces of its own.

    desk 10.91.1.2 --m0-- machine "lab-7" --w0-- world 10.91.2.2      (fd91:1::/64, fd91:2::/64)

At the desk run the Action Center and the device service, and `quell` and `grpcurl` as people run them. On the machine,
a copy of this one in memory with its own process table and network, the agent runs as root. Nothing that is done to the
machine reaches the one that runs the tests; all of it ends with the processes that hold it.
"""

import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import psutil

import network_lab
from device_machine import LONGEST
from gateway_elsewhere import LISTENERS, certify
from quell_agent.execution import fanotify
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports

BIN = Path(sys.executable).parent
DESK, WORLD, WORLD6 = "10.91.1.2", "10.91.2.2", "fd91:2::2"
DATA = "/var/lib/quell-agent"
RULES = "/etc/quell/rules"
NETWORK = {
    "machine": ("m0 10.91.1.1/24", "m0 fd91:1::1/64", "w0 10.91.2.1/24", "w0 fd91:2::1/64"),
    "desk": ("e0 10.91.1.2/24", "e0 fd91:1::2/64"),
    "world": ("e0 10.91.2.2/24", "e0 fd91:2::2/64"),
}
ADMINISTRATORS = "table inet firewall { chain input { type filter hook input priority 0; tcp dport 23 drop; }; }"
OWN_KEY = (
    'quell --as ann keys make && sed -i "/^\\[people.ann\\]/a $(quell --as ann keys show)" .quell/config/people.toml'
)
TIME = 120
"""Seconds that a command may take."""


def missing() -> str:
    """Return why there can't be one here; empty: there can."""
    return network_lab.missing() or fanotify.missing()


@dataclass(frozen=True)
class Journey:
    """The deployment and the machine. `machine` and `world` are processes that hold namespaces."""

    folder: Path
    desk: int
    machine: int
    world: int
    device: str = ""
    data: str = DATA

    def at_desk(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run lines of a shell as people at the desk do: in the deployment's parent folder, with `quell` at hand."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUELL")}
        environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "120"}
        return _run(self._in(self.desk, "--net"), script, check=check, cwd=self.folder, env=environment)

    def on_machine(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run lines of a shell on the machine, as root."""
        namespaces = ("--mount", "--pid", "--net", "--uts", "--root", "--wd")
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        return _run(self._in(self.machine, *namespaces), script, check=check, env=environment)

    def in_world(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run lines of a shell on the other host."""
        return _run(self._in(self.world, "--net"), script, check=check)

    def quell(self, *words: str, person: str = "ann") -> str:
        """Run the command line, which has to succeed, and return what it printed."""
        return self.at_desk(shlex.join(("quell", "--as", person, *words))).stdout

    def documents(self, *words: str, person: str = "ann") -> list[Any]:
        """Run the command line and return the documents of its answer."""
        return [json.loads(line) for line in self.quell("--json", *words, person=person).splitlines()]

    def act(self, kind: str, *words: str) -> Any:  # noqa: ANN401 - a document
        """Have ann ask for something by command line, bob approve it if that is needed, and return how it ended."""
        return self.ended(self.asked(kind, *words))

    def asked(self, kind: str, *words: str) -> Any:  # noqa: ANN401 - a document
        """Have ann ask for something by command line, and return it as it is then."""
        (asked,) = self.documents("act", kind, self.device.rpartition("/")[2], "-m", "a journey", *words)
        return asked

    def refused(self, kind: str, *words: str) -> str:
        """Ask for something that the machine refuses to plan; return what whoever would approve it is told."""
        name = self.asked(kind, *words)["name"]
        looked = self.at_desk(f"quell --as bob actions approve {name} --yes -m 'a journey'", check=False)
        assert looked.returncode, looked.stdout
        self.quell("actions", "reject", name, "-m", "it can't be done", person="bob")
        return looked.stderr

    def undo(self, action: str) -> Any:  # noqa: ANN401 - a document
        """Have ann take an action back, bob approve it if that is needed, and return how that ended."""
        (asked,) = self.documents("actions", "undo", action, "-m", "a journey")
        return self.ended(asked)

    def call(self, method: str, request: object, person: str = "ann", *options: str) -> Any:  # noqa: ANN401
        """Call an RPC by grpcurl and return its answer."""
        port = 7444 if method.startswith("quell.device.") else 7443
        pki = f"-cacert .quell/pki/deployment-ca.crt -cert .quell/pki/{person}.crt -key .quell/pki/{person}.key"
        more = shlex.join(("-d", json.dumps(request), *options))
        return json.loads(self.at_desk(f"grpcurl -max-time 30 {pki} {more} 127.0.0.1:{port} {method}").stdout)

    def create(self, kind: str, **order: object) -> Any:  # noqa: ANN401 - a document
        """Ask for something at the Action Center, by grpcurl, and return how it ended."""
        return self.ended(self.created(kind, **order))

    def created(self, kind: str, **order: object) -> Any:  # noqa: ANN401 - a document
        """Ask for something at the Action Center, by grpcurl, and return it as it is then."""
        remediation = {kind: {"device": self.device, **order}}
        request = {"action_id": str(uuid.uuid4()), "comment": "a journey", "remediation": remediation}
        return self.call("quell.actioncenter.v1.ActionService/CreateAction", request)["action"]

    def request(self, kind: str, **order: object) -> Any:  # noqa: ANN401 - a document
        """Ask for something at the device service, by grpcurl and with ann's own token, and return how it ended."""
        action_id = str(uuid.uuid4())
        request = {"action_id": action_id, "comment": "a journey", "remediation": {"device": self.device, **order}}
        rpc = "".join(word.capitalize() for word in kind.split("_"))
        token = self.quell("token", "device", action_id).strip()
        method = f"quell.device.v1.DeviceRemediationService/{rpc}"
        return self.ended(self.call(method, request, "ann", "-H", token)["action"])

    @contextmanager
    def listening(self, *ports: int) -> Iterator[None]:
        """Have the other host listen on these ports."""
        with ExitStack() as stack:
            for port in ports:
                command = [sys.executable, "-u", "-m", "http.server", str(port), "--bind", WORLD]
                process = stack.enter_context(_process(self._in(self.world, "--net", *command), subprocess.DEVNULL))
                assert process.stdout is not None
                assert process.stdout.readline().startswith("Serving")
            yield

    def ended(self, asked: Any) -> Any:  # noqa: ANN401 - documents
        """Have bob approve an action if it needs that, and return it, as a document, once it has ended."""
        name = asked["name"]
        if asked["state"] in ("ACTION_STATE_PENDING_APPROVAL", "ACTION_STATE_HELD"):
            self.at_desk(f"quell --as bob actions approve {name} --yes --wait -m 'a journey'", check=False)
        end = time.monotonic() + TIME
        while "outcome" not in (action := self.documents("actions", "show", name)[0]):
            assert "failure" not in action, action
            assert time.monotonic() < end, action
        return action

    def enrolled_anew(self) -> "Journey":
        """Have another agent on the machine, in a folder of its own, once the first has left."""
        data, out = f"{DATA}-{uuid.uuid4().hex[:8]}", "/root/agent.out"
        token = self.quell("devices", "enrol-token", person="carol").strip()
        command = f"{sys.executable} -m quell_agent --config {data}/agent.toml"
        self.on_machine(
            f'mkdir -m 700 {data}; printf \'data = "{data}"\\ntoken = "{token}"\\n\' > {data}/agent.toml; '
            f"mkfifo {data}/said; setsid {command} </dev/null >{data}/said 2>{out} & disown; "
            f"test $(timeout 60 head -n 1 {data}/said) = ready"
        )
        known = self.documents("devices", "list", "--filter", "state = CONNECTED")
        (device,) = (each["name"] for each in known)
        return replace(self, device=device, data=data)

    def effects(self) -> list[str]:
        """Return the kinds that are in force on the machine, as `quell effects` tells."""
        return [next(iter(each["remediation"])) for each in self.documents("effects")]

    def _in(self, holder: int, *namespaces: str) -> list[str]:
        return ["nsenter", f"--target={holder}", *namespaces]


@contextmanager
def journey(folder: Path) -> Iterator[Journey]:
    """Have it running, the machine enrolled, and ann with a key of her own."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        holders = {name: stack.enter_context(_held()) for name in NETWORK}
        _connect(holders)
        home = _deployment(folder)
        for name in ("device", "actioncenter"):
            stack.enter_context(_service(home, name, holders["desk"]))
        found = Journey(folder, holders["desk"], 0, holders["world"])
        found.at_desk(OWN_KEY)
        token = found.quell("devices", "enrol-token", "--tag", "lab", person="carol")
        machine = stack.enter_context(_machine(folder, token, holders["machine"]))
        (device,) = found.documents("devices", "list")
        yield replace(found, machine=machine, device=device["name"])


def _deployment(folder: Path) -> Folder:
    """Make a deployment whose gateway and enrolment are reached from elsewhere."""
    home, ports = Folder(folder / ".quell"), Ports()
    deployment.make(home, ports)
    certify(home, DESK)
    config = home.config("device").read_text(encoding="utf-8")
    for name in LISTENERS:
        config = config.replace(ports.at(name), ports.at(name).replace("127.0.0.1", DESK))
    home.config("device").write_text(config, encoding="utf-8")
    return home


def _connect(holders: Mapping[str, int]) -> None:
    """Lay the cables."""
    for wire, far in (("m0", "desk"), ("w0", "world")):
        link = f"ip link add {wire} type veth peer name e0 netns {holders[far]}"
        _run(["nsenter", f"--net=/proc/{holders['machine']}/ns/net"], link)
    for name, addresses in NETWORK.items():
        lines = ["ip link set lo up"]
        for device, address in map(str.split, addresses):
            lines += [f"ip addr add {address} dev {device}" + (" nodad" if ":" in address else "")]
            lines += [f"ip link set {device} up"]
        _run(["nsenter", f"--net=/proc/{holders[name]}/ns/net"], "\n".join(lines))
    _run(["nsenter", f"--net=/proc/{holders['machine']}/ns/net"], f"nft '{ADMINISTRATORS}'")


@contextmanager
def _held() -> Iterator[int]:
    """Have a network namespace of its own, held by a process."""
    with _process(["unshare", "--net", "sleep", str(LONGEST)]) as holder:
        network_lab.await_program(holder.pid)
        yield holder.pid


@contextmanager
def _service(home: Folder, name: str, desk: int) -> Iterator[None]:
    command = ["nsenter", f"--net=/proc/{desk}/ns/net", sys.executable, "-m", f"quell_{name}"]
    with home.log(name).open("ab") as log, _process([*command, "--config", str(home.config(name))], log) as process:
        _hear(process, "ready", home.log(name))
        yield


@contextmanager
def _machine(folder: Path, token: str, network: int) -> Iterator[int]:
    """Have the machine running, and its agent connected."""
    config, said = folder / "agent.toml", folder / "machine.log"
    config.write_text(f'data = "{DATA}"\ntoken = "{token.strip()}"\nrules = "{RULES}"\n', encoding="utf-8")
    script = str(Path(__file__).with_name("device_machine.py"))
    own = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
    command = ["nsenter", f"--net=/proc/{network}/ns/net", *own, sys.executable, script, str(folder), str(config)]
    with said.open("ab") as log, _process(command, log) as process:
        _hear(process, "machine", said)
        (first,) = psutil.Process(process.pid).children()
        _hear(process, "ready", said)
        yield first.pid


def _hear(process: "subprocess.Popen[str]", word: str, log: Path) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n", log.read_text(encoding="utf-8")[-3000:]


@contextmanager
def _process(command: Sequence[str], log: IO[bytes] | int | None = None) -> "Iterator[subprocess.Popen[str]]":
    """Have a process running until it is left; then it is killed, and with a machine's first process all of it."""
    with subprocess.Popen(  # noqa: S603 - ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(prefix: Sequence[str], script: str, *, check: bool = True, **how: Any) -> "subprocess.CompletedProcess[str]":  # noqa: ANN401 - subprocess's own
    command = [*prefix, "/bin/bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(  # noqa: S603 - ours
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIME, check=False, **how
    )
    assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done
