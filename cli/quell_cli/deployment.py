"""A deployment in one folder: keys, certificates, people and a configuration for each process, made once.

config/   what each process reads; people.toml is yours to edit
pki/      the deployment's CA and certificates, the agents' CA
keys/     the root key (keep it elsewhere in earnest), the centre's, the executors', the recovery key
actioncenter/ device/ email/ agent/   the data of each process
logs/     what each process says
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from quell.annotations.v1 import annotations_pb2

from quell_runtime import key_sets, pki
from quell_runtime.identity import Identity
from quell_runtime.seams import SystemRng

DEPLOYMENT = "local"
KEY_LIFE = timedelta(days=365)
HOSTS = ("localhost", "127.0.0.1")
PEOPLE = {"ann": ("responder", "approver"), "bob": ("responder", "approver"), "carol": ("viewer", "admin")}
DETECTOR = "edr"
SERVERS = {
    "actioncenter": annotations_pb2.CALLER_ACTION_CENTER,
    "device": annotations_pb2.CALLER_SERVICE,
    "email": annotations_pb2.CALLER_SERVICE,
    "agents": annotations_pb2.CALLER_SERVICE,
    "enrolment": annotations_pb2.CALLER_SERVICE,
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the listeners of a deployment are: six ports in a row, on loopback."""

    base: int = 7443

    def at(self, name: str) -> str:
        """Return the address of a listener."""
        names = ("actioncenter", "device", "agents", "enrolment", "email", "click")
        return f"127.0.0.1:{self.base + names.index(name)}"

    @property
    def all(self) -> tuple[int, ...]:
        """Every port that will be listened on."""
        return tuple(range(self.base, self.base + 6))


@dataclass(frozen=True, slots=True)
class Folder:
    """Where things lie in a deployment's folder."""

    root: Path

    def config(self, name: str) -> Path:
        """Return the configuration of a process, or `people` or `client`."""
        return self.root / "config" / f"{name}.toml"

    def certificate(self, name: str) -> Path:
        """Return the certificate of a person, detector or server, or of a CA: `deployment-ca`."""
        return self.root / "pki" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the private TLS key beside a certificate."""
        return self.root / "pki" / f"{name}.key"

    def seal_key(self, name: str) -> Path:
        """Return the Ed25519 key of `root`, `center`, `device` or `email`."""
        return self.root / "keys" / f"{name}.pem"

    @property
    def key_set(self) -> Path:
        """The centre's sealed `KeySet`."""
        return self.root / "keys" / "key_set.bin"

    @property
    def maildirs(self) -> Path:
        """Where mailboxes lie unless the configuration says otherwise: `{address}/Maildir`."""
        return self.root / "mail"

    def log(self, name: str) -> Path:
        """Return what a process says."""
        return self.root / "logs" / f"{name}.log"


def make(folder: Folder, ports: Ports) -> None:
    """Lay out a deployment, unless it is there. What people may have edited is never written again."""
    if folder.config("client").exists():
        return
    for name in ("config", "pki", "keys", "logs", "mail", "rules", "actioncenter", "device", "email", "agent"):
        (folder.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    _certificates(folder, now)
    _keys(folder, now)
    _configurations(folder, ports)


def _certificates(folder: Folder, now: datetime) -> None:
    deployment_ca = pki.Authority.make("Quell deployment CA", now)
    deployment_ca.save(folder.certificate("deployment-ca"), folder.key("deployment-ca"))
    agents_ca = pki.Authority.make("Quell agents CA", now)
    agents_ca.save(folder.certificate("agents-ca"), folder.key("agents-ca"))
    for name, caller in SERVERS.items():
        leaf = deployment_ca.issue(Identity(caller, DEPLOYMENT, name), now, hosts=HOSTS, life=KEY_LIFE)
        leaf.save(folder.certificate(name), folder.key(name))
    for name in PEOPLE:
        who = Identity(annotations_pb2.CALLER_OPERATOR, DEPLOYMENT, name)
        deployment_ca.issue(who, now, life=KEY_LIFE).save(folder.certificate(name), folder.key(name))
    who = Identity(annotations_pb2.CALLER_DETECTOR, DEPLOYMENT, DETECTOR)
    deployment_ca.issue(who, now, life=KEY_LIFE).save(folder.certificate(DETECTOR), folder.key(DETECTOR))


def _keys(folder: Folder, now: datetime) -> None:
    root, center = (pki.new_seal_key(folder.seal_key(name)) for name in ("root", "center"))
    for name in ("device", "email"):
        pki.new_seal_key(folder.seal_key(name))
    for name in ("link", "vault"):
        pki.save_private(folder.root / "keys" / f"{name}.key", SystemRng().bytes(32))
    keys = [key_sets.sealing_key(center.public, now, KEY_LIFE), key_sets.recovery_key(_recovery(folder), now, KEY_LIFE)]
    sealed = key_sets.sealed(root, DEPLOYMENT, 1, keys)
    pki.save_public(folder.key_set, sealed.SerializeToString())


def _recovery(folder: Folder) -> bytes:
    """Make the key that opens vaults whose device is lost, and return its public half."""
    private = X25519PrivateKey.generate()
    pki.save_private(folder.seal_key("recovery"), pki.key_pem(private))
    return private.public_key().public_bytes_raw()


def _configurations(folder: Folder, ports: Ports) -> None:
    files = {
        "actioncenter": _action_center(folder, ports),
        "device": _device(folder, ports),
        "email": _email(folder, ports),
        "agent": _agent(folder),
        "people": _people(),
    }
    for name, text in files.items():
        folder.config(name).write_text(text, encoding="utf-8")
    # Last of all: its presence says that the deployment is whole.
    folder.config("client").write_text(_client(folder, ports), encoding="utf-8")


def _api(folder: Folder, ports: Ports, name: str) -> str:
    return f"""\
deployment = "{DEPLOYMENT}"
data = "{folder.root / name}"
people = "{folder.config("people")}"
drain_s = 0  # nobody balances load over one machine: an end need not be announced

[api]
listen = "{ports.at(name)}"
certificate = "{folder.certificate(name)}"
key = "{folder.key(name)}"
client_ca = "{folder.certificate("deployment-ca")}"
"""


def _root_key(folder: Folder) -> str:
    return pki.load_seal_key(folder.seal_key("root")).public.hex()


def _executor(folder: Folder, ports: Ports, plane: str) -> str:
    return f"""
[[executors]]
plane = "{plane}"
address = "{ports.at(plane)}"
identity_key = "{pki.load_seal_key(folder.seal_key(plane)).key_id.hex()}"
server_ca = "{folder.certificate("deployment-ca")}"
"""


def _asked(folder: Folder, ports: Ports) -> str:
    """Return where a service asks for what people ask of it by hand."""
    return f"""
[action_center]
address = "{ports.at("actioncenter")}"
server_ca = "{folder.certificate("deployment-ca")}"
"""


def _action_center(folder: Folder, ports: Ports) -> str:
    head = f"""\
seal_key = "{folder.seal_key("center")}"
key_set = "{folder.key_set}"
"""
    executors = "".join(_executor(folder, ports, plane) for plane in ("device", "email"))
    return head + _api(folder, ports, "actioncenter") + executors


def _device(folder: Folder, ports: Ports) -> str:
    head = f"""\
identity_key = "{folder.seal_key("device")}"
root_key = "{_root_key(folder)}"
key_set = "{folder.key_set}"
"""
    agents = f"""
[agents]
listen = "{ports.at("agents")}"
certificate = "{folder.certificate("agents")}"
key = "{folder.key("agents")}"
ca_certificate = "{folder.certificate("agents-ca")}"
ca_key = "{folder.key("agents-ca")}"

[enrolment]
listen = "{ports.at("enrolment")}"
certificate = "{folder.certificate("enrolment")}"
key = "{folder.key("enrolment")}"
"""
    return head + _api(folder, ports, "device") + _asked(folder, ports) + agents


def _email(folder: Folder, ports: Ports) -> str:
    head = f"""\
identity_key = "{folder.seal_key("email")}"
root_key = "{_root_key(folder)}"
maildirs = "{folder.maildirs}/{{address}}/Maildir"
link_key = "{folder.root / "keys" / "link.key"}"
vault_key = "{folder.root / "keys" / "vault.key"}"
"""
    click = f"""
[click]
listen = "{ports.at("click")}"
"""
    return head + _api(folder, ports, "email") + _asked(folder, ports) + click


def _agent(folder: Folder) -> str:
    return f"""\
data = "{folder.root / "agent"}"
token = "{folder.root / "agent" / "token"}"
rules = "{folder.root / "rules"}"
"""


def _people() -> str:
    return "".join(
        f"""\
[people.{name}]
identities = ["spiffe://{DEPLOYMENT}/operator/{name}"]
roles = {list(roles)!r}

""".replace("'", '"')
        for name, roles in PEOPLE.items()
    )


def _client(folder: Folder, ports: Ports) -> str:
    services = "".join(f'{name} = "{ports.at(name)}"\n' for name in ("actioncenter", "device", "email"))
    others = ", ".join(f'"{name}"' for name in (*SERVERS, "deployment-ca", "agents-ca"))
    return f"""\
ca = "{folder.certificate("deployment-ca")}"
certificates = "{folder.root / "pki"}"
others = [{others}]

[services]
{services}"""
