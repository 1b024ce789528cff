"""Equal remediations have one text, different ones never the same."""

from hypothesis import given
from hypothesis import strategies as st
from quell.remediation.v1 import device_pb2, email_pb2, remediation_pb2, target_pb2

from evidence_of import DEVICE, SHA256
from quell_actioncenter.domain.canonical import equal_key, text


def quarantine(*folders: str, **selector: str) -> remediation_pb2.Remediation:
    """Return a quarantine of a file."""
    return remediation_pb2.Remediation(
        stop_and_quarantine=device_pb2.StopAndQuarantine(
            device=DEVICE.name, file=target_pb2.FileSelector(**selector), search_folders=folders
        )
    )


def delete(cluster: target_pb2.MessageCluster) -> remediation_pb2.Remediation:
    """Return a deletion of a cluster."""
    selector = target_pb2.MessageSelector(cluster=cluster)
    return remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages(messages=selector))


@given(st.lists(st.sampled_from(["/opt", "/home", "/var", "/srv"]), max_size=4), st.randoms(use_true_random=False))
def test_lists_are_sets(folders: list[str], random: object) -> None:
    """In another order, or twice, it is the same."""
    shuffled = [*folders, *folders[:1]]
    getattr(random, "shuffle")(shuffled)  # noqa: B009 - Hypothesis' own randomness
    assert text(quarantine(*folders, sha256=SHA256)) == text(quarantine(*shuffled, sha256=SHA256))


def test_what_is_compared_without_case_is_the_same() -> None:
    """Addresses, domains and subjects; not paths."""
    assert text(delete(target_pb2.MessageCluster(sender="Ann@Evil.example"))) == text(
        delete(target_pb2.MessageCluster(sender="ann@evil.example"))
    )
    assert text(delete(target_pb2.MessageCluster(subject="  Your\tInvoice "))) == text(
        delete(target_pb2.MessageCluster(subject="your invoice"))
    )
    assert text(quarantine(path="/opt/A")) != text(quarantine(path="/opt/a"))


def test_what_differs_has_another_key() -> None:
    """Kind, target, parameters and investigation."""
    found = [
        equal_key("investigations/a.1", quarantine(sha256=SHA256)),
        equal_key("investigations/a.2", quarantine(sha256=SHA256)),
        equal_key("investigations/a.1", quarantine(path="/" + SHA256)),
        equal_key("investigations/a.1", quarantine("/opt", sha256=SHA256)),
        equal_key("investigations/a.1", delete(target_pb2.MessageCluster(subject="a"))),
        equal_key("investigations/a.1", delete(target_pb2.MessageCluster(sender_domain="a.b"))),
    ]
    assert len(set(found)) == len(found)


def test_the_text_stays_what_it_is() -> None:
    """Keys are kept in stores: the same remediation must have the same text in every version."""
    assert text(quarantine("/b", "/a", path="/opt/ü")) == (
        '{"stop_and_quarantine":{"device":"devices/aaaaaaaaaaaaaaaaaaaaaaaaaa","file":{"path":"/opt/ü"},'
        '"search_folders":["/a","/b"]}}'
    )
