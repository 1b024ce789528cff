"""Which URLs a message is found by."""

import pytest

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.facts import url_mark
from quell_email.domain.redirects import MAX_TARGETS, targets
from quell_email.domain.urls import canonical
from quell_email.parsing.reading import read_body

EVIL = "https%3A%2F%2Fevil.example%2Flogin"
MANY = "&".join(f"u=https%3A%2F%2Fgood.example%2F{number}" for number in range(MAX_TARGETS + 1))


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("https://evil.example/login", True),
        (f"https://nam02.safelinks.protection.outlook.com/?url={EVIL}", True),
        (f"https://go.example/out?u={EVIL}", True),
        (f"https://go.example/out?mentions={EVIL}", False),
        ("https://evil.example/other", False),
    ],
)
def test_a_message_is_found_by_all_that_its_links_lead_to(link: str, found: bool) -> None:  # noqa: FBT001 - a table
    """As a click is refused by all of it."""
    assert (url_mark("evil.example/login") in read_body(f"Subject: x\n\nLook: {link}\n".encode())) is found


def test_what_leads_to_too_much_is_found_by_itself() -> None:
    """A link that is not to be followed hides nothing of where it is."""
    link = f"https://evil.example/login?{MANY}"
    with pytest.raises(UrlInvalidError):
        targets(link)
    assert url_mark(str(canonical(link))) in read_body(f"Subject: x\n\nLook: {link}\n".encode())
