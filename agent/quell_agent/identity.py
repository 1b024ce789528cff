"""Who this agent is: an identity key for life, and TLS certificates that come and go under it.

identity.pem     Ed25519; receipts and the enrolment statement are sealed with it
tls.key tls.crt  P-256 and its certificate, renewed at two thirds of its life
roots.crt        whom the agent believes when it dials
home.json        the deployment, its root key, and where to dial
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.warrant.v1 import enrolment_pb2, seal_pb2

from quell_agent.settings import AgentSettings
from quell_runtime import enrolment_token, pki
from quell_runtime.client import Credentials, pinned_channel
from quell_runtime.errors import QuellError
from quell_runtime.sealing import SealKey, device_id, key_id_of
from quell_runtime.seams import Clock, stamp

STATEMENT = enrolment_pb2.Enrolment.DESCRIPTOR.full_name
ENROL_WITHIN = 30.0


class RootStrangeError(QuellError):
    """The deployment does not show the root key that the token names."""

    reason = "ROOT_STRANGE"


@dataclass(frozen=True, slots=True)
class Home:
    """Where the agent belongs."""

    deployment: str
    root_key: bytes
    address: str


class Identity:
    """The agent's keys and certificates in its data folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Work in a folder."""
        self._folder = folder
        self._clock = clock
        self.credentials = Credentials(folder / "roots.crt", folder / "tls.crt", folder / "tls.key")

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

    async def enrol(self, settings: AgentSettings) -> agent_service_pb2.EnrolResponse:
        """Enrol by the token, and keep what came. Asked again with the same token, it is answered again.

        Raises:
            TokenInvalidError, ConfigInvalidError: There is no token that could be used.
            CertificateStrangeError: The listener is not the one that the token names.
            RootStrangeError: The root key is not the one that the token names.
            grpc.aio.AioRpcError, OSError: It was refused, or nobody can be reached.

        """
        text = self._token(settings)
        token = enrolment_token.parse(text)
        key = pki.new_tls_key()
        request = agent_service_pb2.EnrolRequest(token=text, enrolment=self._statement(text), csr=pki.request(key))
        async with await pinned_channel(token.enrol_address, token.listener_digest) as channel:
            answer = await agent_service_pb2_grpc.AgentServiceStub(channel).Enrol(request, timeout=ENROL_WITHIN)
        if key_id_of(answer.root_key) != token.root_key_digest:
            raise RootStrangeError("the root key is not the one that the token names")
        self._keep(key, answer.certificates, answer.trust_roots)
        self._settle(text, token.agents_address, answer)
        return answer

    def _token(self, settings: AgentSettings) -> str:
        """Return the token that this agent enrolled with, else the one that it is given."""
        known = self._folder / "token"
        return known.read_text(encoding="utf-8") if self.enrolled else settings.read_token()

    async def renew(self, stub: "agent_service_pb2_grpc.AgentServiceAsyncStub") -> None:
        """Get the next certificate, for a new key.

        Raises:
            grpc.aio.AioRpcError: It was refused, or nobody can be reached.

        """
        key = pki.new_tls_key()
        request = agent_service_pb2.RenewCertificateRequest(csr=pki.request(key))
        answer = await stub.RenewCertificate(request, timeout=ENROL_WITHIN)
        self._keep(key, answer.certificates, answer.trust_roots)

    def renewal_in(self) -> timedelta:
        """Return how long the certificate still serves: two thirds of its life; negative when it should be renewed."""
        leaf = x509.load_pem_x509_certificates((self._folder / "tls.crt").read_bytes())[0]
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        return leaf.not_valid_before_utc + life * 2 / 3 - self._clock.now()

    @property
    def ended(self) -> bool:
        """Whether the certificate is over: then only the token and the identity key together open the door."""
        leaf = x509.load_pem_x509_certificates((self._folder / "tls.crt").read_bytes())[0]
        return self._clock.now() >= leaf.not_valid_after_utc

    def _statement(self, token: str) -> seal_pb2.Sealed:
        key = self.key
        statement = enrolment_pb2.Enrolment(
            device=f"devices/{device_id(key.key_id)}",
            identity_key=key.public,
            token_digest=enrolment_token.digest_of(token),
            time=stamp(self._clock.now()),
        )
        return key.seal(STATEMENT, [statement.SerializeToString()])[0]

    def _keep(self, key: EllipticCurvePrivateKey, certificates: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Keep a TLS key with its certificate, and whom to believe."""
        self._replace("roots.crt", _pem(roots))
        # The key first: a certificate whose key is lost would serve nobody.
        self._replace("tls.key", pki.key_pem(key))
        self._replace("tls.crt", _pem(certificates))

    def _settle(self, text: str, address: str, answer: agent_service_pb2.EnrolResponse) -> None:
        """Keep where the agent belongs, and the token: after weeks away it opens the door for this key again."""
        self._replace("token", text.encode())
        home = {"deployment": answer.deployment, "root_key": answer.root_key.hex(), "address": address}
        # Last of all: its presence says that the agent is enrolled.
        self._replace("home.json", json.dumps(home).encode())

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file for the owner's eyes only, as a whole or not at all."""
        scratch = self._folder / f".{name}.new"
        scratch.unlink(missing_ok=True)
        pki.save_private(scratch, content)
        scratch.replace(self._folder / name)


def _pem(certificates: Sequence[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in certificates)
