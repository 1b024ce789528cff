"""Who this agent is: an identity key for life, and where it belongs. Neither leaves the process that acts.

identity.pem     Ed25519; receipts and the enrolment statement are sealed with it
home.json        the deployment, its root key, and where to dial
hosts.json       the addresses that the gateway's name stood for when it was last resolved
token            the token that it enrolled with: after weeks away it opens the door for this key again
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from quell.agent.v1 import line_pb2
from quell.warrant.v1 import enrolment_pb2, seal_pb2

from quell_agent.settings import AgentSettings
from quell_runtime import enrolment_token, pki
from quell_runtime.addresses import parse
from quell_runtime.errors import QuellError
from quell_runtime.sealing import SealKey, device_id, key_id_of
from quell_runtime.seams import Clock, stamp

log = structlog.get_logger()
STATEMENT = enrolment_pb2.Enrolment.DESCRIPTOR.full_name


class RootStrangeError(QuellError):
    """The deployment does not show the root key that the token names."""

    reason = "ROOT_STRANGE"


@dataclass(frozen=True, slots=True)
class Home:
    """Where the agent belongs."""

    deployment: str
    root_key: bytes
    address: str


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class Identity:
    """The agent's key, and what it knows of its home, in its data folder."""

    def __init__(self, settings: AgentSettings, clock: Clock) -> None:
        """Work in the settings' folder."""
        self._settings = settings
        self._folder = settings.data
        self._clock = clock

    @property
    def enrolled(self) -> bool:
        """Whether it has a home already."""
        return (self._folder / "home.json").exists()

    @property
    def key(self) -> SealKey:
        """The identity key; made at the first look."""
        path = self._folder / "identity.pem"
        return pki.load_seal_key(path) if path.exists() else pki.new_seal_key(path)

    @property
    def secret(self) -> bytes:
        """The 32 private bytes of the identity key, from which the vault's own key is derived."""
        key = load_pem_private_key((self._folder / "identity.pem").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)  # noqa: S101 - we made it
        return key.private_bytes_raw()

    def home(self) -> Home:
        """Return where it belongs."""
        found = json.loads((self._folder / "home.json").read_text(encoding="utf-8"))
        return Home(found["deployment"], bytes.fromhex(found["root_key"]), found["address"])

    def hosts(self) -> list[str]:
        """Return the addresses that the gateway was last known by, as far as they can be its own.

        They stay open on an isolated device, and whom a name stands for is said by resolver and talker. So an address
        that its operator has written out is the only one, and others count only where its networks are.
        """
        if not self.enrolled:
            return []
        if (only := _address(parse(self.home().address).host)) is not None:
            return [str(only)]
        path = self._folder / "hosts.json"
        return self._its_own(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []

    def keep_hosts(self, hosts: Sequence[str]) -> None:
        """Keep the addresses that the gateway is said to have now; if none can be its own, those that it had."""
        if own := self._its_own(hosts):
            self._replace("hosts.json", json.dumps(own).encode())
        else:
            log.warning("gateway_is_elsewhere", hosts=list(hosts))

    def _its_own(self, hosts: Sequence[str]) -> list[str]:
        networks = self._settings.gateway_networks
        return [host for host in hosts if not networks or any(ip_address(host) in network for network in networks)]

    def enrolment(self) -> line_pb2.Enrol:
        """Return what the talker needs to enrol. Asked again with the same token, the gateway answers again.

        Raises:
            TokenInvalidError, ConfigInvalidError: There is no token that could be used.

        """
        text = self._token()
        token = enrolment_token.parse(text)
        return line_pb2.Enrol(
            address=token.enrol_address,
            listener_digest=token.listener_digest,
            token=text,
            enrolment=self._statement(text),
        )

    def settle(self, answer: line_pb2.Enrolled) -> None:
        """Believe what enrolment brought, and keep where the agent belongs.

        Raises:
            RootStrangeError: The root key is not the one that the token names, or the home that it has is another;
                nothing is kept.

        """
        text = self._token()
        token = enrolment_token.parse(text)
        if key_id_of(answer.root_key) != token.root_key_digest:
            raise RootStrangeError("the root key is not the one that the token names")
        if self.enrolled:
            known = self.home()
            if (known.deployment, known.root_key) != (answer.deployment, answer.root_key):
                raise RootStrangeError("the agent belongs to another deployment")
            return
        self._replace("token", text.encode())
        home = {"deployment": answer.deployment, "root_key": answer.root_key.hex(), "address": token.agents_address}
        # Last of all: its presence says that the agent is enrolled.
        self._replace("home.json", json.dumps(home).encode())

    def _token(self) -> str:
        """Return the token that this agent enrolled with, else the one that it is given."""
        known = self._folder / "token"
        return known.read_text(encoding="utf-8") if self.enrolled else self._settings.read_token()

    def _statement(self, token: str) -> seal_pb2.Sealed:
        key = self.key
        statement = enrolment_pb2.Enrolment(
            device=f"devices/{device_id(key.key_id)}",
            identity_key=key.public,
            token_digest=enrolment_token.digest_of(token),
            time=stamp(self._clock.now()),
        )
        return key.seal(STATEMENT, [statement.SerializeToString()])[0]

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file for the owner's eyes only, as a whole or not at all."""
        scratch = self._folder / f".{name}.new"
        scratch.unlink(missing_ok=True)
        pki.save_private(scratch, content)
        scratch.replace(self._folder / name)
