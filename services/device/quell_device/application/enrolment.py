"""How a device comes in: a token from a person, a statement by the device's own key, a certificate from us."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import DecodeError
from quell.annotations.v1 import annotations_pb2
from quell.device.v1 import agent_service_pb2
from quell.warrant.v1 import enrolment_pb2

from quell_device.application.center import Center
from quell_device.application.registry import Newcomer, Registry
from quell_device.domain.errors import StatementInvalidError
from quell_device.domain.records import TokenRecord
from quell_runtime.enrolment_token import EnrolmentToken, digest_of
from quell_runtime.identity import Identity
from quell_runtime.pki import Authority
from quell_runtime.sealing import SealInvalidError, device_id, key_id_of, open_seal
from quell_runtime.seams import Clock, Rng

STATEMENT = enrolment_pb2.Enrolment.DESCRIPTOR.full_name
FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Terms:
    """What every device is told. `trust_roots` are whom it believes when it dials, X.509 in DER."""

    deployment: str
    root_key: bytes
    trust_roots: Sequence[bytes]
    enrol_address: str
    agents_address: str
    listener_digest: bytes
    certificate_life: timedelta


class Enrolment:
    """Makes tokens, and certificates for those who bring one or have one."""

    def __init__(self, registry: Registry, center: Center, authority: Authority, terms: Terms, clock: Clock) -> None:
        """Sign by the agents' authority."""
        self._registry = registry
        self._center = center
        self._authority = authority
        self._terms = terms
        self._clock = clock

    async def new_token(self, rng: Rng, tags: Sequence[str], valid: timedelta) -> tuple[str, TokenRecord]:
        """Make a token; return its text, which nobody will see again, and what is kept of it."""
        terms = self._terms
        text = EnrolmentToken(
            terms.enrol_address, terms.agents_address, terms.listener_digest, key_id_of(terms.root_key), rng.bytes(32)
        ).text()
        return text, await self._registry.add_token(digest_of(text), tags, valid)

    async def enrol(self, request: agent_service_pb2.EnrolRequest) -> agent_service_pb2.EnrolResponse:
        """Let a device in.

        Raises:
            StatementInvalidError: The device's statement does not hold, or is not about this token.
            CsrInvalidError: The request for a certificate can't be used.
            TokenRefusedError, BannedError: As the registry says.

        """
        statement = self._statement(request)
        device = device_id(key_id_of(statement.identity_key))
        # Before the token is used: a request that can't be signed leaves it for another try.
        certificates = self._certificates(device, request.csr)
        fresh = abs(self._clock.now().timestamp() - statement.time.seconds) <= FRESH_SECONDS
        await self._registry.enrol(Newcomer(statement.identity_key, digest_of(request.token), request.enrolment, fresh))
        return agent_service_pb2.EnrolResponse(
            certificates=certificates,
            trust_roots=self._terms.trust_roots,
            deployment=self._terms.deployment,
            root_key=self._terms.root_key,
            key_set=self._center.key_set,
        )

    async def renew(self, device: str, csr: bytes) -> agent_service_pb2.RenewCertificateResponse:
        """Sign the next certificate of a device that shows its present one.

        Raises:
            StrangerError, BannedError: As the registry says.
            CsrInvalidError: The request for a certificate can't be used.

        """
        await self._registry.admitted(device)
        return agent_service_pb2.RenewCertificateResponse(
            certificates=self._certificates(device, csr), trust_roots=self._terms.trust_roots
        )

    def _statement(self, request: agent_service_pb2.EnrolRequest) -> enrolment_pb2.Enrolment:
        """Return the statement that is sealed by the key that is in it."""
        try:
            claimed = enrolment_pb2.Enrolment.FromString(request.enrolment.body)
            keys = {key_id_of(claimed.identity_key): claimed.identity_key}
            open_seal(request.enrolment, STATEMENT, keys.get)
        except (DecodeError, SealInvalidError):
            raise StatementInvalidError("the statement must be sealed by the identity key in it", "enrolment") from None
        if claimed.device != f"devices/{device_id(key_id_of(claimed.identity_key))}":
            raise StatementInvalidError("the device's id must be made of its identity key", "enrolment")
        if claimed.token_digest != digest_of(request.token):
            raise StatementInvalidError("the statement is about another token", "enrolment")
        return claimed

    def _certificates(self, device: str, csr: bytes) -> list[bytes]:
        who = Identity(annotations_pb2.CALLER_AGENT, self._terms.deployment, device)
        leaf = self._authority.sign(csr, who, self._clock.now(), life=self._terms.certificate_life)
        return [leaf.public_bytes(Encoding.DER), self._authority.certificate.public_bytes(Encoding.DER)]
