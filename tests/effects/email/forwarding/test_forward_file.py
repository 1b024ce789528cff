"""A `.forward` proved by delivery: Postfix sends mail outside, then no more but inside as before, then again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2

from effect_runs import DONE, do, undo
from eventually import eventually
from forward_lab import DOMAIN, TEAM, USER, ForwardLab, forward_lab
from quell_email.domain.forwards import TURNED_OFF
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.maildir.forwards import HomeForwards
from quell_email.store.pre_images import PreImages

ORDER = email_pb2.TurnOffExternalForwarding(mailbox=f"mailboxes/{USER}@{DOMAIN}")
OUTSIDE = "games@mail.test"


@pytest.fixture(scope="module")
def postfix() -> Iterator[ForwardLab]:
    """Have a server that delivers by `.forward`."""
    with forward_lab() as lab:
        yield lab


def effect(postfix: ForwardLab, tmp_path: Path) -> TurnOffExternalForwarding:
    """Return the effect over the server's homes."""
    return TurnOffExternalForwarding(HomeForwards(postfix.homes), PreImages(tmp_path / "kept"), {DOMAIN})


def write(postfix: ForwardLab, content: bytes) -> None:
    """Have the user write `.forward`."""
    postfix.forward.write_bytes(content)
    postfix.forward.chmod(0o600)
    shutil.chown(postfix.forward, USER)


async def delivered(postfix: ForwardLab) -> dict[str, int]:
    """Deliver a message; return where it came to, once nothing is on its way any more."""
    before = postfix.came()

    async def came() -> dict[str, int]:
        # Twice, since what is forwarded goes back to the first queue; and first, since it came before it left.
        if not (postfix.idle() and postfix.idle()):
            return {}
        return {
            whom: count - before.get(whom, 0) for whom, count in postfix.came().items() if count > before.get(whom, 0)
        }

    postfix.deliver()
    return await eventually(came, bool, within=20)


CASES = {
    "copy": (b"\\games, games@mail.test\n", {USER: 1, OUTSIDE: 1}, {USER: 1}, b"\\games\n"),
    "all of it": (b"games@mail.test\n", {OUTSIDE: 1}, {USER: 1}, b"\n"),
    "inside too": (b'"games@mail.test", man\n# me\n', {OUTSIDE: 1, TEAM: 1}, {TEAM: 1}, b" man\n# me\n"),
    "a program": (b'man, "|exec cat > /dev/null"\n', {TEAM: 1}, {USER: 1}, TURNED_OFF),
}


@pytest.mark.parametrize("case", CASES)
async def test_mail_goes_outside_then_not_then_again(postfix: ForwardLab, tmp_path: Path, case: str) -> None:
    """And is kept in the mailbox where nobody inside gets it; the file's owner, mode and bytes are back after undo."""
    content, before, after, left = CASES[case]
    write(postfix, content)
    owner = postfix.forward.owner(), postfix.forward.stat().st_mode
    # Control: the same delivery, with the effect off.
    assert await delivered(postfix) == before
    run = await do(effect(postfix, tmp_path), ORDER)
    assert run.after == [DONE]
    assert postfix.forward.read_bytes() == left
    assert await delivered(postfix) == after
    assert (await undo(effect(postfix, tmp_path), run.plan)).after == [DONE]
    assert postfix.forward.read_bytes() == content
    assert (postfix.forward.owner(), postfix.forward.stat().st_mode) == owner
    assert await delivered(postfix) == before
