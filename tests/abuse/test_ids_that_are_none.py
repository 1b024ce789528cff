"""A hostile agent calls its receipts by words of any length: the gateway remembers ids, and nothing else, for it."""

from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, seal_pb2

from quell_device.domain.routes import ids_of


def test_only_ids_are_waited_for() -> None:
    """Ten thousand of 200 kB each would be two gigabytes."""
    good, bad = "11111111-2222-4333-8444-555555555555", "x" * 200_000
    receipts = [seal_pb2.Sealed(body=receipt_pb2.Receipt(id=each).SerializeToString()) for each in (good, bad, "")]
    response = executor_service_pb2.WorkResponse(receipts=executor_service_pb2.Receipts(receipts=receipts))
    assert ids_of(response) == [good]
    report = seal_pb2.Sealed(body=effect_report_pb2.EffectReport(id=bad).SerializeToString())
    effects = executor_service_pb2.EffectReports(reports=[report])
    assert ids_of(executor_service_pb2.WorkResponse(effects=effects)) == []
