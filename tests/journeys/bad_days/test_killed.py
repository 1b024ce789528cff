"""Promise: kill -9 any process between any two durable steps; the action ends as if nothing had been, done once.

Real processes, real SQLite, real files, real gRPC. After each death the process is started again, as `quell up` does.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from quell.actioncenter.v1 import action_pb2

from bad_day_worlds import File, Mail, Url, World
from mail_tree import MailTree
from mortal_house import MortalHouse, mortal_house

pytestmark = pytest.mark.timeout(120)
KIT = ("kit.accepted", "kit.planned", "kit.applied", "kit.ended")
COMMITS = ("decided", "committed")
EMAIL_DOES_URL = [
    *((point, 1) for point in KIT),
    *((f"journal.{step}", hit) for step in COMMITS for hit in (1, 2, 3, 4)),
    *((f"urls.{step}", 1) for step in COMMITS),
]
"""Journal: 1 the warrant comes, 2 its plan, 3 its end, 4 what is stored at the centre."""
EMAIL_UNDOES_URL = [
    ("kit.planned", 1),
    ("kit.applied", 1),
    *((f"urls.{step}", 1) for step in COMMITS),
]
EMAIL_DOES_MAIL = [("maildir.recorded", 1), ("maildir.recorded", 3), ("maildir.moved", 1), ("maildir.moved", 2)]
EMAIL_UNDOES_MAIL = [("maildir.returned", 1), ("maildir.returned", 2), ("kit.planned", 1), ("kit.applied", 1)]
CENTER = [*((f"center.{step}", hit) for step in COMMITS for hit in (1, 2, 3, 4)), ("center.sent", 1)]
"""1 the vote or the undo, 2 the warrant, 3 the items, 4 the receipt."""
CENTER_UNDOES = [*(("center.committed", hit) for hit in (1, 2, 3, 4)), ("center.sent", 1)]
AGENT_DOES = [
    *((point, 1) for point in KIT),
    *((f"quarantine.{step}", 1) for step in ("moved", "stopped", "sealed", "dropped")),
    *(("journal.committed", hit) for hit in (1, 2, 3)),
]
AGENT_UNDOES = [
    ("kit.planned", 1),
    ("kit.applied", 1),
    *((f"restore.{step}", 1) for step in ("opened", "linked", "marked", "dropped", "forgotten")),
]
DEVICE_DIES = [("kit.accepted", 1), ("journal.committed", 3)]
"""The device service keeps nothing of an action: it is killed where the agent is, before and after the effect."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalHouse]:
    """Return a deployment that goes on through everything."""
    with mortal_house(tmp_path_factory.mktemp("bad") / "quell") as found:
        yield found


class Case:
    """One death: of `name` or, in its stead, of `victim`."""

    def __init__(self, house: MortalHouse, name: str, at: tuple[str, int], victim: str = "") -> None:
        """Begin."""
        self.house = house
        self.victim = victim or name
        self._fate = (name, *at, victim)

    def doom(self) -> None:
        """Let it come true from now on."""
        self.house.doom(*self._fate)

    async def does(self, world: World) -> None:
        """Kill on the way to the effect."""
        async with self.house.asking() as asking:
            action = await asking.created(world.order())
            vote = await asking.vote(action)
            self.doom()
            await asyncio.gather(asking.approved(vote), self.house.revived(self.victim))
            done = await asking.ended(action.name)
            assert done.state == action_pb2.ACTION_STATE_SUCCEEDED, done
            world.is_done()
            assert (await asking.events(action.name)).count("found_in_force") == 1
            assert await asking.chain_holds()

    async def undoes(self, world: World) -> None:
        """Kill on the way back."""
        async with self.house.asking() as asking:
            action = await asking.created(world.order())
            await asking.approved(await asking.vote(action))
            assert (await asking.ended(action.name)).state == action_pb2.ACTION_STATE_SUCCEEDED
            world.is_done()
            undo, _ = await asyncio.gather(asking.undone(action.name, self.doom), self.house.revived(self.victim))
            done = await asking.ended(undo)
            assert done.state == action_pb2.ACTION_STATE_SUCCEEDED, done
            world.is_back()
            assert (await asking.get(action.name)).undone_by == undo
            assert await asking.chain_holds()


def url(house: MortalHouse) -> Url:
    """Return a URL."""
    return Url(house.folder.root / "email" / "urls" / "urls.db")


def mail(house: MortalHouse) -> Mail:
    """Return a campaign."""
    return Mail(MailTree(house.folder.maildirs))


async def file(house: MortalHouse, folder: Path) -> File:
    """Return a program that runs."""
    async with house.asking() as asking:
        return File(folder, await asking.device())


@pytest.mark.parametrize("at", EMAIL_DOES_URL, ids=str)
async def test_the_email_service_dies_while_a_url_is_blocked(house: MortalHouse, at: tuple[str, int]) -> None:
    """One entry."""
    await Case(house, "email", at).does(url(house))


@pytest.mark.parametrize("at", EMAIL_UNDOES_URL, ids=str)
async def test_the_email_service_dies_while_a_url_is_let_through_again(house: MortalHouse, at: tuple[str, int]) -> None:
    """No entry."""
    await Case(house, "email", at).undoes(url(house))


@pytest.mark.parametrize("at", EMAIL_DOES_MAIL, ids=str)
async def test_the_email_service_dies_while_mail_is_moved(house: MortalHouse, at: tuple[str, int]) -> None:
    """Each message is moved once."""
    await Case(house, "email", at).does(mail(house))


@pytest.mark.parametrize("at", EMAIL_UNDOES_MAIL, ids=str)
async def test_the_email_service_dies_while_mail_is_put_back(house: MortalHouse, at: tuple[str, int]) -> None:
    """Each message is back, once."""
    await Case(house, "email", at).undoes(mail(house))


@pytest.mark.parametrize("at", CENTER, ids=str)
async def test_the_centre_dies_on_the_way_there(house: MortalHouse, at: tuple[str, int]) -> None:
    """No approval that was heard is lost, none is carried out twice."""
    await Case(house, "actioncenter", at).does(mail(house))


@pytest.mark.parametrize("at", CENTER_UNDOES, ids=str)
async def test_the_centre_dies_on_the_way_back(house: MortalHouse, at: tuple[str, int]) -> None:
    """Neither is an undo."""
    await Case(house, "actioncenter", at).undoes(mail(house))


@pytest.mark.parametrize("at", AGENT_DOES, ids=str)
async def test_the_agent_dies_while_a_file_is_taken(house: MortalHouse, tmp_path: Path, at: tuple[str, int]) -> None:
    """The file is gone, and what ran is stopped."""
    await Case(house, "agent", at).does(await file(house, tmp_path))


@pytest.mark.parametrize("at", AGENT_UNDOES, ids=str)
async def test_the_agent_dies_while_a_file_is_put_back(house: MortalHouse, tmp_path: Path, at: tuple[str, int]) -> None:
    """The file is as before."""
    await Case(house, "agent", at).undoes(await file(house, tmp_path))


@pytest.mark.parametrize("at", DEVICE_DIES, ids=str)
async def test_the_device_service_dies_on_the_way(house: MortalHouse, tmp_path: Path, at: tuple[str, int]) -> None:
    """What it was handing on is handed on again."""
    await Case(house, "agent", at, victim="device").does(await file(house, tmp_path))


async def test_the_device_service_dies_on_the_way_back(house: MortalHouse, tmp_path: Path) -> None:
    """So is an undo."""
    await Case(house, "agent", ("kit.planned", 1), victim="device").undoes(await file(house, tmp_path))
