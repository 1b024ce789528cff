"""An executor with a quorum does what people sealed with their own keys, and nothing that the centre alone lets go."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from quell.actioncenter.v1 import action_service_pb2

from center_house import House
from center_requests import Center, approval, block
from deployment import NAME, OWN_KEYS, Deployment
from quell_executor.quorum import Quorum
from quell_runtime.own_keys import OwnKey


@pytest.fixture(scope="module")
def house(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Return a house whose executor wants bob's own approval of every block."""
    quorums = {"block_url": Quorum(1, {OWN_KEYS["bob"].public: "bob"})}
    return House(deployment, tmp_path_factory.mktemp("quorum"), quorums)


async def test_what_the_centre_lets_go_is_done_only_with_the_persons_own_seal(
    house: House, aio_stub: Callable[[str], Any]
) -> None:
    """The same vote without it is counted by the centre, and refused by who would have to act."""
    center = Center(aio_stub)
    unsealed = await center.approve(await center.create(block("")))
    failed = await center.until(unsealed.name, "FAILED")
    assert failed.failure.reason == "APPROVALS_MISSING"
    assert not house.mail.changed
    asked = await center.create(block(""))
    preview = action_service_pb2.PreviewActionRequest(name=asked.name)
    shown = bytes.fromhex((await center.ask("bob", "PreviewAction", preview)).preview_digest)
    now = datetime.now(UTC)
    sealed = OwnKey(OWN_KEYS["bob"], NAME, "bob").approval(shown, now, now + timedelta(hours=1))
    await center.ask("bob", "ApproveAction", approval(asked, approval=sealed))
    assert await center.until(asked.name, "SUCCEEDED")
    assert house.mail.changed
