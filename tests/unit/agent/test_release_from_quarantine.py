"""A release means what an action took, or a content with everything that would start it."""

from quell.remediation.v1 import device_pb2, item_pb2

from quell_agent.effects.release_from_quarantine import ReleaseFromQuarantine
from quell_executor.effect import Owned

OURS, OTHER = "a" * 64, "b" * 64
ACTION = "actions/00000000-0000-4000-8000-000000000001"
RELEASE = ReleaseFromQuarantine()


def owned(sha256: str, *, start: bool, action: str = ACTION) -> Owned:
    """Return a file that was taken, or a place that was disarmed."""
    file = item_pb2.FileItem(path="/x", sha256=sha256)
    item = (
        item_pb2.Item(start=item_pb2.StartItem(path="/etc/crontab", file=file)) if start else item_pb2.Item(file=file)
    )
    return Owned(action, "key", item)


def test_by_content_the_file_and_what_starts_it_come_back() -> None:
    """Nothing of another content does."""
    order = device_pb2.ReleaseFromQuarantine(sha256=OURS)
    for start in (False, True):
        assert RELEASE.chooses(order, owned(OURS, start=start))
        assert not RELEASE.chooses(order, owned(OTHER, start=start))
    assert RELEASE.names(order) == {f"device.content:{OURS}"}


def test_by_action_all_that_it_did_comes_back() -> None:
    """Whatever its content; nothing of another action."""
    order = device_pb2.ReleaseFromQuarantine(action=ACTION)
    for start in (False, True):
        assert RELEASE.chooses(order, owned(OTHER, start=start))
        assert not RELEASE.chooses(order, owned(OTHER, start=start, action=ACTION[:-1] + "2"))
    assert RELEASE.names(order) == {ACTION}
