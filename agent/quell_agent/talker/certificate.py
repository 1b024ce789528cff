"""The talker's TLS certificates, which come and go, in the folder that it stands in.

tls.key tls.crt  P-256 and its certificate, renewed at two thirds of its life
roots.crt        whom the agent believes when it dials
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from quell.agent.v1 import line_pb2
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from quell_runtime import pki
from quell_runtime.client import Credentials, pinned_channel
from quell_runtime.seams import Clock

WITHIN = 30.0


class Certificate:
    """The TLS key and its certificate."""

    def __init__(self, clock: Clock, folder: Path = Path()) -> None:
        """Keep both in a folder."""
        self._clock = clock
        self._folder = folder
        self.credentials = Credentials(folder / "roots.crt", folder / "tls.crt", folder / "tls.key")

    async def enrol(self, enrol: line_pb2.Enrol) -> line_pb2.Enrolled:
        """Enrol, and keep the certificate that came.

        Raises:
            CertificateStrangeError: The listener is not the one that the token names.
            grpc.aio.AioRpcError, OSError: It was refused, or nobody can be reached.

        """
        key = pki.new_tls_key()
        request = agent_service_pb2.EnrolRequest(token=enrol.token, enrolment=enrol.enrolment, csr=pki.request(key))
        async with await pinned_channel(enrol.address, enrol.listener_digest) as channel:
            answer = await agent_service_pb2_grpc.AgentServiceStub(channel).Enrol(request, timeout=WITHIN)
        self._keep(key, answer.certificates, answer.trust_roots)
        return line_pb2.Enrolled(deployment=answer.deployment, root_key=answer.root_key, key_set=answer.key_set)

    async def renew(self, stub: "agent_service_pb2_grpc.AgentServiceAsyncStub") -> None:
        """Get the next certificate, for a new key.

        Raises:
            grpc.aio.AioRpcError: It was refused, or nobody can be reached.

        """
        key = pki.new_tls_key()
        request = agent_service_pb2.RenewCertificateRequest(csr=pki.request(key))
        answer = await stub.RenewCertificate(request, timeout=WITHIN)
        self._keep(key, answer.certificates, answer.trust_roots)

    def renewal_in(self) -> timedelta:
        """Return how long the certificate still serves: two thirds of its life; negative when it should be renewed."""
        begin, end = self._life()
        return begin + (end - begin) * 2 / 3 - self._clock.now()

    @property
    def over(self) -> bool:
        """Whether there is none that counts: then only the token and the identity key together open the door."""
        return not self.credentials.certificate.exists() or self._clock.now() >= self._life()[1]

    def _life(self) -> tuple[datetime, datetime]:
        leaf = x509.load_pem_x509_certificates(self.credentials.certificate.read_bytes())[0]
        return leaf.not_valid_before_utc, leaf.not_valid_after_utc

    def _keep(self, key: EllipticCurvePrivateKey, certificates: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Keep a TLS key with its certificate, and whom to believe."""
        self._replace("roots.crt", _pem(roots))
        # The key first: a certificate whose key is lost would serve nobody.
        self._replace("tls.key", pki.key_pem(key))
        self._replace("tls.crt", _pem(certificates))

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file for the owner's eyes only, as a whole or not at all."""
        scratch = self._folder / f".{name}.new"
        scratch.unlink(missing_ok=True)
        pki.save_private(scratch, content)
        scratch.replace(self._folder / name)


def _pem(certificates: Sequence[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in certificates)
