"""One token lets one device in, once; a certificate says which device it is, and nothing else does."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from google.protobuf.duration_pb2 import Duration
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc, fleet_service_pb2
from quell.executor.v1 import target_report_pb2
from quell.warrant.v1 import enrolment_pb2

from device_house import ROOT, House, Token, refused, sealed
from quell_runtime import client, enrolment_token, pki
from quell_runtime.sealing import SealKey


async def test_enrolment_answers_a_certificate_for_the_id_of_the_key(house: House) -> None:
    """The certificate is short-lived and says the SPIFFE id; the answer tells whom to trust, and what to pin."""
    token = Token(await house.token(tags=["lab"]))
    async with house.enrolling() as stub:
        answer = await stub.Enrol(token.request(), timeout=10)
    leaf, authority = (x509.load_der_x509_certificate(each) for each in answer.certificates)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [f"spiffe://example/agent/{token.device}"]
    assert leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(hours=24)
    assert authority == house.deployment.agents.certificate
    assert [x509.load_der_x509_certificate(each) for each in answer.trust_roots] == [
        house.deployment.authority.certificate
    ]
    assert answer.root_key == ROOT.public
    assert answer.deployment == "example"
    async with house.fleet("carol") as fleet:
        name = f"devices/{token.device}"
        device = (await fleet.GetDevice(fleet_service_pb2.GetDeviceRequest(name=name), timeout=10)).device
    assert list(device.tags) == ["lab"]
    assert device.state == target_report_pb2.TARGET_STATE_AWAY
    assert device.identity_key_digest == token.key.key_id.hex()


async def test_the_token_tells_where_to_enrol_and_whom_to_trust(house: House) -> None:
    """All that an agent trusts for the call is the listener's certificate, by its digest."""
    found = enrolment_token.parse(await house.token())
    certificate = x509.load_pem_x509_certificate((house.deployment.folder / "device.crt").read_bytes())
    assert found.listener_digest == pki.fingerprint(certificate)
    assert found.root_key_digest == ROOT.key_id
    assert found.enrol_address.startswith("127.0.0.1:")


async def test_of_fifty_at_once_with_two_keys_only_one_key_gets_in(house: House) -> None:
    """The token is checked and used in one transaction: all calls of one key are answered, all of the other refused."""
    text = await house.token()
    two = (Token(text), Token(text))

    async def enrol(token: Token) -> agent_service_pb2.EnrolResponse:
        async with house.enrolling() as stub:
            return await stub.Enrol(token.request(), timeout=60, wait_for_ready=True)

    answers = await asyncio.gather(*(enrol(two[turn % 2]) for turn in range(50)), return_exceptions=True)
    outcome = Counter(
        (turn % 2, client.problem(answer).reason if isinstance(answer, grpc.aio.AioRpcError) else "let in")
        for turn, answer in enumerate(answers)
    )
    winner = next(turn for turn, what in outcome if what == "let in")
    assert outcome == {(winner, "let in"): 25, (1 - winner, "TOKEN_INVALID"): 25}
    async with house.fleet("carol") as fleet:
        listed = await fleet.ListDevices(fleet_service_pb2.ListDevicesRequest(), timeout=10)
    assert [device.name for device in listed.devices] == [f"devices/{two[winner].device}"]


async def test_a_used_token_brings_its_own_device_back_later_if_its_key_seals_anew(house: House) -> None:
    """So a device whose certificate has ended while it was off comes back; a statement of old brings nobody in."""
    token = Token(await house.token())
    async with house.enrolling() as stub:
        of_old = token.request()
        await stub.Enrol(of_old, timeout=10)
        house.clock.ahead = timedelta(days=14)
        assert (await refused(lambda: stub.Enrol(of_old, timeout=10))).reason == "TOKEN_INVALID"
        answer = await stub.Enrol(token.request(time=house.clock.now()), timeout=10)
        assert x509.load_der_x509_certificate(answer.certificates[0]).not_valid_after_utc > house.clock.now()


@pytest.mark.parametrize(("fields", "seconds"), [({"valid": Duration(seconds=60)}, 60), ({}, 600)])
async def test_a_token_ends_by_itself(house: House, fields: dict[str, object], seconds: int) -> None:
    """After its time, ten minutes if not said, nobody new comes in; until then somebody does."""
    token, in_time = Token(await house.token(**fields)), Token(await house.token(**fields))
    async with house.enrolling() as stub:
        house.clock.ahead = timedelta(seconds=seconds - 10)
        await stub.Enrol(in_time.request(time=house.clock.now()), timeout=10)
        house.clock.ahead = timedelta(seconds=seconds + 1)
        problem = await refused(lambda: stub.Enrol(token.request(time=house.clock.now()), timeout=10))
    assert (problem.code, problem.reason) == (grpc.StatusCode.PERMISSION_DENIED, "TOKEN_INVALID")


def _unsealed(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.enrolment.signature = bytes(64)
    return request


def _of_another_key(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.enrolment.CopyFrom(Token(token.text).key.seal(request.enrolment.type, [request.enrolment.body])[0])
    return request


def _under_another_id(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    statement = enrolment_pb2.Enrolment.FromString(request.enrolment.body)
    statement.device = f"devices/{Token(token.text).device}"
    request.enrolment.CopyFrom(sealed(token.key, statement))
    return request


def _about_another_token(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.enrolment.CopyFrom(Token("other", token.key).request().enrolment)
    return request


def _unsigned_request(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.csr = request.csr[:-1] + bytes([request.csr[-1] ^ 1])
    return request


def _no_request(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.csr = b"nothing"
    return request


def _garbage(token: Token) -> agent_service_pb2.EnrolRequest:
    request = token.request()
    request.enrolment.body = b"\xff\xff"
    return request


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_unsealed, "SEAL_INVALID"),
        (_of_another_key, "SEAL_INVALID"),
        (_under_another_id, "SEAL_INVALID"),
        (_about_another_token, "SEAL_INVALID"),
        (_garbage, "SEAL_INVALID"),
        (_unsigned_request, "CSR_INVALID"),
        (_no_request, "CSR_INVALID"),
    ],
)
async def test_what_does_not_hold_is_refused_and_leaves_the_token(house: House, change: object, reason: str) -> None:
    """INVALID_ARGUMENT, nothing is stored, and the right request still gets in."""
    assert callable(change)
    token = Token(await house.token())
    async with house.enrolling() as stub:
        problem = await refused(lambda: stub.Enrol(change(token), timeout=10))
        assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        async with house.fleet("carol") as fleet:
            assert not (await fleet.ListDevices(fleet_service_pb2.ListDevicesRequest(), timeout=10)).devices
        await stub.Enrol(token.request(), timeout=10)


async def test_a_banned_key_never_comes_back(house: House) -> None:
    """Not by its old token, not by a new one, and it gets no new certificate."""
    agent = await house.enrolled()
    await house.ban(agent.name)
    again = Token(await house.token(), agent.key)
    async with house.enrolling() as stub:
        for token in (agent.token, again):
            request = token.request()
            problem = await refused(lambda request=request: stub.Enrol(request, timeout=10))  # type: ignore[misc]
            assert (problem.code, problem.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEVICE_BANNED")
    async with agent.channel() as channel:
        agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        renewal = agent_service_pb2.RenewCertificateRequest(csr=pki.request(pki.new_tls_key()))
        problem = await refused(lambda: agents.RenewCertificate(renewal, timeout=10))
    assert (problem.code, problem.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEVICE_BANNED")


async def test_a_certificate_is_renewed_for_the_device_that_asks(house: House) -> None:
    """The next certificate says the same id for another key."""
    agent = await house.enrolled()
    key = pki.new_tls_key()
    async with agent.channel() as channel:
        agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        answer = await agents.RenewCertificate(
            agent_service_pb2.RenewCertificateRequest(csr=pki.request(key)), timeout=10
        )
        problem = await refused(
            lambda: agents.RenewCertificate(agent_service_pb2.RenewCertificateRequest(csr=b"x"), timeout=10)
        )
    leaf = x509.load_der_x509_certificate(answer.certificates[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [f"spiffe://example/agent/{agent.token.device}"]
    assert leaf.public_key() == key.public_key()
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CSR_INVALID")


async def test_the_hello_must_show_the_key_of_the_certificates_device(house: House) -> None:
    """A device id comes from the certificate; another identity key under it is refused."""
    agent = await house.enrolled()
    agent.key = SealKey(bytes(32))
    async with agent.connected() as stream:
        await asyncio.wait_for(stream.ended.wait(), 10)
    assert (stream.code, stream.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEVICE_MISMATCH")
