"""One table says which error is which code, and a caller is told reason and field, never another's text."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from quell.actioncenter.v1 import investigation_service_pb2

from quell_runtime import errors
from quell_runtime.interceptors import outcome, validation
from quell_runtime.interceptors.validation import FieldsInvalidError


def details(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    """Return what an answer says beside its code."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return info, bad


class OwnError(errors.TakenError):
    """A service's own."""

    reason = "ACTION_EXISTS"


def families() -> list[type[errors.QuellError]]:
    """Return every direct kind of error."""
    return [each for each in errors.QuellError.__subclasses__() if each.__module__ == errors.__name__]


@pytest.mark.parametrize("family", families())
def test_every_family_has_a_code(family: type[errors.QuellError]) -> None:
    """A new one fails here until it is in the table."""
    assert family in outcome.CODES


def test_a_service_s_own_error_takes_its_family_s_code_and_says_its_reason() -> None:
    """With the facts for programs."""
    status = outcome.status_of(OwnError("it is there", action="actions/1"))
    info, bad = details(status)
    assert (status.code, status.message) == (grpc.StatusCode.ALREADY_EXISTS.value[0], "it is there")
    assert (info.reason, info.domain, dict(info.metadata)) == ("ACTION_EXISTS", "quell", {"action": "actions/1"})
    assert not bad.field_violations


def test_a_malformed_field_is_named() -> None:
    """By its path."""
    _, bad = details(outcome.status_of(errors.InvalidError("must be lower case", "evidence[17].file.sha256")))
    assert [each.field for each in bad.field_violations] == ["evidence[17].file.sha256"]


def test_what_is_none_of_ours_tells_a_reference_only() -> None:
    """Not the text, not the class."""
    status = outcome.status_of(ValueError("/etc/secret"))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in str(status)
    assert "ValueError" not in str(status)
    info, _ = details(status)
    assert info.metadata["reference"] in status.message


def test_what_another_of_our_services_said_is_passed_on_as_it_is() -> None:
    """And its silence is AWAY, not INTERNAL."""
    said = outcome.status_of(OwnError("it is there"))
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", said.SerializeToString()))
    relayed = grpc.aio.AioRpcError(grpc.StatusCode.ALREADY_EXISTS, grpc.aio.Metadata(), metadata)
    assert outcome.status_of(relayed) == said
    silent = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "10.0.0.7")
    status = outcome.status_of(silent)
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert "10.0.0.7" not in str(status)


def test_fields_are_named_by_their_path_and_no_answer_outgrows_its_metadata() -> None:
    """`evidence[17].file.sha256`, however many are wrong."""
    request = investigation_service_pb2.SubmitInvestigationRequest(investigation_id="1")
    for _ in range(3000):
        request.evidence.add().file.sha256 = "x" * 5000
    with pytest.raises(FieldsInvalidError) as refusal:
        validation.check(request)
    status = outcome.status_of(refusal.value)
    _, bad = details(status)
    assert "evidence[1].file.sha256" in {each.field for each in bad.field_violations}
    assert status.ByteSize() < 6000


def test_a_long_error_is_cut_to_what_an_answer_holds() -> None:
    """Else the caller would be told of too much metadata, and not of the error."""
    status = outcome.status_of(errors.InvalidError("m" * 100_000, "f" * 100_000, fact="x" * 100_000))
    assert status.ByteSize() < 4000


def test_the_path_of_every_form_of_field_is_as_people_write_it() -> None:
    """Repeated, nested, oneof."""
    request = investigation_service_pb2.SubmitInvestigationRequest(investigation_id="1")
    request.investigation.SetInParent()
    for index in range(18):
        each = request.evidence.add(id=f"e{index}", verdict=1)
        each.file.sha256 = "0" * 64 if index != 17 else "no"
    with pytest.raises(FieldsInvalidError) as refusal:
        validation.check(request)
    assert "evidence[17].file.sha256" in {each.field for each in refusal.value.violations}
