"""A deployment's certificates and people in a folder, for tests that dial real servers.

`deployment` is a pytest fixture of the session; put `from deployment import deployment` into a `conftest.py`.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from quell.annotations.v1 import annotations_pb2

from quell_runtime import addresses, client, identity
from quell_runtime.config import Listener, ServerTls
from quell_runtime.people import People
from quell_runtime.pki import Authority
from quell_runtime.sealing import SealKey
from quell_runtime.server import API, Limits, Server

NAME = "example"
HOSTS = ("localhost", "127.0.0.1")
PEOPLE = {
    "ann": ("responder", "approver"),
    "bob": ("approver",),
    "carol": ("viewer",),
    "dan": ("admin",),
    "rita": ("responder",),
}
OTHERS = {
    "xdr": annotations_pb2.CALLER_DETECTOR,
    "actioncenter": annotations_pb2.CALLER_ACTION_CENTER,
    "device": annotations_pb2.CALLER_SERVICE,
    "email": annotations_pb2.CALLER_SERVICE,
    "clicks": annotations_pb2.CALLER_MAIL_FILTER,
}
SERVERS = ("actioncenter", "device", "email")
OWN_KEYS = {name: SealKey(hashlib.sha256(name.encode()).digest()) for name in ("ann", "bob")}
"""Keys of their own, which these people have."""


@dataclass(frozen=True)
class Deployment:
    """A deployment in a folder: `NAME.crt` and `NAME.key` for each caller, `ca.crt`, `agents-ca.crt`, `people.toml`."""

    folder: Path
    authority: Authority
    agents: Authority
    name: str = NAME

    @property
    def people(self) -> Path:
        """Where `people.toml` is."""
        return self.folder / "people.toml"

    @property
    def ca(self) -> Path:
        """The authority of people, detectors and services."""
        return self.folder / "ca.crt"

    def credentials(self, who: str) -> client.Credentials:
        """Return the files of a caller: `ann`, `xdr`, `actioncenter`."""
        return client.Credentials(self.ca, self.folder / f"{who}.crt", self.folder / f"{who}.key")

    def listener(self, service: str = "actioncenter", listen: str = "127.0.0.1:0") -> Listener:
        """Return the configuration of a service's API listener on a free port."""
        files = self.credentials(service)
        return Listener(
            listen=addresses.parse(listen), certificate=files.certificate, key=files.key, client_ca=files.ca
        )

    def enrolment(self, service: str = "device") -> ServerTls:
        """Return the configuration of a listener that asks nobody who it is."""
        files = self.credentials(service)
        return ServerTls(listen=addresses.parse("127.0.0.1:0"), certificate=files.certificate, key=files.key)

    def server(self, service: str = "actioncenter", limits: Limits = API) -> Server:
        """Return a server of the shell that all services have, still without services."""
        return Server(self.listener(service), limits, self.name, People(self.people))

    def channel(self, port: int, who: str, service: str = "actioncenter") -> grpc.aio.Channel:
        """Dial a service as somebody."""
        return client.channel(f"127.0.0.1:{port}", self.credentials(who), service)

    def issue(
        self,
        file: str,
        who: identity.Identity,
        *,
        hosts: tuple[str, ...] = (),
        life: timedelta = timedelta(days=1),
        authority: Authority | None = None,
    ) -> client.Credentials:
        """Make a certificate for somebody and return the files."""
        found = self.credentials(file)
        leaf = (authority or self.authority).issue(who, datetime.now(UTC), hosts=hosts, life=life)
        leaf.save(found.certificate, found.key)
        return found


def make(folder: Path, name: str = NAME) -> Deployment:
    """Make a deployment in an empty folder."""
    now = datetime.now(UTC)
    found = Deployment(folder, Authority.make(f"{name} people", now), Authority.make(f"{name} agents", now), name)
    found.authority.save(folder / "ca.crt", folder / "ca.key")
    found.agents.save(folder / "agents-ca.crt", folder / "agents-ca.key")
    for person in PEOPLE:
        found.issue(person, identity.Identity(annotations_pb2.CALLER_OPERATOR, name, person))
    for other, caller in OTHERS.items():
        hosts = (other, *HOSTS) if other in SERVERS else ()
        found.issue(other, identity.Identity(caller, name, other), hosts=hosts)
    found.people.write_text(
        "".join(
            f'[people.{person}]\nidentities = ["spiffe://{name}/operator/{person}"]\nroles = {list(roles)}\n'
            f"keys = {[OWN_KEYS[person].public.hex()] if person in OWN_KEYS else []}\n"
            for person, roles in PEOPLE.items()
        )
    )
    return found


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return a deployment that the session's tests share; nobody changes it."""
    return make(tmp_path_factory.mktemp("deployment"))
