"""A taken centre key alone can't make an executor act that was told whose approvals it needs."""

import hashlib
from datetime import timedelta

import pytest
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.remediation.v1 import email_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import preview_pb2, receipt_pb2, warrant_pb2

from deployment import OWN_KEYS
from email_house import Conversation, EmailHouse
from kit_house import CENTER, DEPLOYMENT, IDENTITY, sealed
from quell_runtime.own_keys import OwnKey
from quell_runtime.sealing import SealKey

BLOCK = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="evil.example"))
UNBLOCK = remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="evil.example"))
QUORUM = f"""
[quorums]
block_url = 1
[approvers]
bob = ["{OWN_KEYS["bob"].public.hex()}"]
"""


@pytest.fixture
async def guarded(house: EmailHouse) -> EmailHouse:
    """Return the house, started again with a quorum."""
    await house.kill()
    with house.config.open("a") as config:
        config.write(QUORUM)
    await house.start()
    return house


async def blocked(house: EmailHouse) -> bool:
    """Tell whether the URL is refused."""
    async with house.channel("clicks") as channel:
        request = url_service_pb2.CheckUrlRequest(url="https://evil.example/")
        answer = await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(request, timeout=10)
    return answer.check.answer == url_service_pb2.URL_ANSWER_BLOCKED


async def ordered(talk: Conversation, key: SealKey | None) -> receipt_pb2.Receipt:
    """Send what the centre's key seals, with an approval of it by somebody's key."""
    found = talk.center.warrant(BLOCK, target_key=b"", executor_key=IDENTITY.key_id)
    shown = preview_pb2.Preview(action=found.action, remediation=BLOCK, expire_time=found.expire_time)
    found.preview = shown.SerializeToString()
    if key is not None:
        now = talk.center.clock.now()
        own = OwnKey(key, DEPLOYMENT, "bob")
        found.approvals.append(own.approval(hashlib.sha256(found.preview).digest(), now, now + timedelta(hours=1)))
    await talk.say(warrants={"warrants": [sealed(found)]})
    return await talk.receipt(warrant_pb2.Warrant(action=found.action))


@pytest.mark.parametrize("key", [None, CENTER, OWN_KEYS["ann"]])
async def test_a_centre_without_the_peoples_own_keys_does_nothing(guarded: EmailHouse, key: SealKey | None) -> None:
    """Neither without an approval nor with one that it, or somebody else, has sealed in bob's name."""
    async with guarded.conversation() as talk:
        receipt = await ordered(talk, key)
        assert (receipt.disposition, receipt.failure.reason) == (
            receipt_pb2.DISPOSITION_REFUSED,
            "APPROVALS_MISSING",
        )
        assert not await blocked(guarded)
        undone = await talk.carry_out(UNBLOCK)
        assert undone.disposition == receipt_pb2.DISPOSITION_CARRIED_OUT


async def test_what_bob_has_sealed_is_done(guarded: EmailHouse) -> None:
    """The control: with his own key's approval, the same warrant has its effect."""
    async with guarded.conversation() as talk:
        receipt = await ordered(talk, OWN_KEYS["bob"])
        assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
        assert await blocked(guarded)


async def test_a_quorum_that_can_not_be_met_is_named_at_start(house: EmailHouse) -> None:
    """In one line, before anything is served."""
    await house.kill()
    with house.config.open("a") as config:
        config.write(QUORUM.replace("block_url = 1", "block_url = 2"))
    process = await house.spawn()
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert b"quorums.block_url" in err
