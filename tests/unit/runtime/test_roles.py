"""The one table of roles says what it should, and only what the contracts and kinds know."""

from fnmatch import fnmatchcase

import pytest
from quell.annotations.v1 import annotations_pb2

from contracts import methods
from quell_runtime import roles
from quell_runtime.interceptors.call import access_of
from quell_runtime.roles import OF_KIND, ROLES, grants

OPERATOR = annotations_pb2.CALLER_OPERATOR


def test_the_roles_are_those_of_the_product() -> None:
    """No more."""
    assert set(ROLES) == {"viewer", "responder", "approver", "admin"}


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("viewer", {"actions.read", "urls.check"}, {"actions.preview", "actions.create", "control.freeze"}),
        ("responder", {"isolate_device.create", "actions.undo"}, {"actions.decide", "isolate_device.approve"}),
        ("approver", {"isolate_device.approve", "control.unfreeze"}, {"actions.create", "isolate_device.create"}),
        ("admin", {"devices.ban", "policies.update"}, {"actions.decide", "actions.create", "isolate_device.approve"}),
    ],
)
def test_nobody_asks_decides_and_keeps_house_by_one_role(role: str, may: set[str], may_not: set[str]) -> None:
    """A stolen admin acts on no device; a stolen approver asks for nothing."""
    assert {right for right in may | may_not if grants(ROLES[role], right)} == may


def test_every_permission_for_people_is_in_some_role_and_every_right_in_the_table_is_one() -> None:
    """A typing error in the table would grant nothing, or too much."""
    rpcs = [access_of(each.full_name) for each in methods()]
    of_people = {each.permission for each in rpcs if OPERATOR in each.callers}
    every_right = frozenset[str]().union(*ROLES.values())
    assert [right for right in of_people | roles.permissions_of_kinds() if not grants(every_right, right)] == []
    known = {each.permission for each in rpcs} | roles.permissions_of_kinds()
    in_table = every_right.union(*OF_KIND.values())
    assert [right for right in in_table if not any(fnmatchcase(each, right) for each in known)] == []


def test_what_is_no_person_is_never_given_a_persons_rights() -> None:
    """A service asks; it does not decide."""
    for rights in OF_KIND.values():
        assert not grants(rights, "actions.decide")
        assert not grants(rights, "isolate_device.approve")
        assert not grants(rights, "actions.undo")
