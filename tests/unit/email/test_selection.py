"""Which clusters the contract takes, by the names that detection systems use."""

import protovalidate
import pytest
from quell.remediation.v1 import target_pb2

from quell_email.domain.selection import criteria, names
from quell_executor.effect import RefusedError

BY = "Subject;SenderDomain;ContentType"


def cluster(**fields: str) -> target_pb2.MessageCluster:
    """Return a cluster."""
    return target_pb2.MessageCluster(**fields)  # type: ignore[arg-type]


def test_the_same_question_has_the_same_name() -> None:
    """However it is written; the subject may hold semicolons."""
    written = cluster(cluster_by=BY, cluster_by_value="Re: Pay; now;Evil.example; text/html")
    spelt_out = cluster(subject="pay; now", sender_domain="evil.example", content_type="text/html")
    assert not protovalidate.collect_violations(written)
    one, other = (names(target_pb2.MessageSelector(cluster=each)) for each in (written, spelt_out))
    assert one == other


@pytest.mark.parametrize(
    "wrong",
    [
        cluster(cluster_by="Subject", cluster_by_value="a"),
        cluster(cluster_by=BY, cluster_by_value="a;b.example"),
        cluster(cluster_by=BY, cluster_by_value=";b.example;text/html"),
        cluster(cluster_by=BY),
        cluster(cluster_by=BY, cluster_by_value="a;b.example;text/html", subject="a"),
        cluster(sender="a@b.example", cluster_by_value="a;b.example;text/html"),
    ],
    ids=["field", "two", "empty", "none", "twice", "nameless"],
)
def test_what_is_half_said_is_refused(wrong: target_pb2.MessageCluster) -> None:
    """By the contract, so before it is stored."""
    assert [each.proto.rule_id for each in protovalidate.collect_violations(wrong)]


@pytest.mark.parametrize("address", ["::2%lt?e%", "fe80::1%eth0"])
def test_an_address_with_a_zone_is_refused(address: str) -> None:
    """The contract's rule lets it through, and nobody can compare it."""
    wrong = cluster(sender_ip=address)
    assert not protovalidate.collect_violations(wrong)
    with pytest.raises(RefusedError, match="CLUSTER_VALUE_INVALID"):
        criteria(target_pb2.MessageSelector(cluster=wrong))
