"""Promise: what an executor says that it did counts only if its probe finds it."""

from pathlib import Path

import pytest
from quell.actioncenter.v1 import action_pb2

from bad_day_worlds import Url
from house import free_ports
from mortal_house import Mortal, mortal_house
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports

pytestmark = pytest.mark.timeout(60)
LYING = str(Path(__file__).parents[2] / "support" / "lying_email.py")


async def blocked(root: Path, how: str) -> tuple[action_pb2.Action, bool]:
    """Have a URL blocked by such an email service; return what came of it, and whether it is blocked."""
    folder = Folder(root)
    deployment.make(folder, Ports(free_ports()))
    email = Mortal("email", folder, (LYING, how))
    with mortal_house(root, email, Mortal("actioncenter", folder)) as house:
        async with house.asking() as asking:
            url = Url(house.folder.root / "email" / "urls" / "urls.db")
            action = await asking.created(url.order())
            await asking.approved(await asking.vote(action))
            return await asking.ended(action.name), await asking.is_blocked(url.pattern)


async def test_who_says_done_and_does_nothing_has_failed(tmp_path: Path) -> None:
    """The kit looks itself, by the effect's own probe."""
    action, is_so = await blocked(tmp_path / "quell", "idle")
    assert not is_so
    assert action.state == action_pb2.ACTION_STATE_FAILED
    assert action.failure.reason == "EFFECT_NOT_OBSERVED"


async def test_whose_probe_lies_too_is_believed(tmp_path: Path) -> None:
    """The limit of it: nobody else looks, so the status is as good as the executor. The threat model says so."""
    action, is_so = await blocked(tmp_path / "quell", "liar")
    assert not is_so
    assert action.state == action_pb2.ACTION_STATE_SUCCEEDED
