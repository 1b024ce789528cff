"""Which texts have nearly the same fingerprint."""

import pytest

from quell_email.domain.fingerprint import NEAR, fingerprint, marks_of

CAMPAIGN = """Dear {name}, your mailbox is at its limit and will be closed within {hours} hours. To keep your messages,
confirm your account on our secure page {link} with your user name and your password. If you do nothing, all mail that
reaches you from then on is sent back to whoever wrote it. Kind regards, the help desk of your mail administration."""
OTHER = """Hello {name}, the minutes of our last meeting are in the shared folder. Please read them until {hours}, and
tell Ann what has to be changed before we send them to the board. The next date is in the calendar {link}. Best, Eve"""


def written(text: str, name: str = "Ann", hours: int = 24, link: str = "https://a.example/x") -> str:
    """Fill in what differs from copy to copy."""
    return text.format(name=name, hours=hours, link=link)


def shared(one: str, other: str) -> int:
    """Return how many numbers two fingerprints share."""
    return len(marks_of(one) & marks_of(other))


def test_copies_of_a_campaign_are_near_and_other_mail_is_not() -> None:
    """Whatever name, number and link each copy has; as HTML too."""
    first = fingerprint(written(CAMPAIGN), is_html=False)
    copies = [
        fingerprint(written(CAMPAIGN, name, hours, f"https://{name}.example/{hours}?u={name}"), is_html=False)
        for name, hours in (("Bartholomew", 48), ("Ýlöna", 12), ("Carol van Dyke", 7))
    ]
    marked = f"<html><head><title>x y z</title></head><p>{written(CAMPAIGN, 'Bob')}</p><style>a b c d</style></html>"
    copies.append(fingerprint(marked.replace("closed", "<b class='a b c'>closed</b>"), is_html=True))
    assert all(shared(first, each) >= NEAR for each in copies)
    assert shared(first, fingerprint(written(OTHER), is_html=False)) < NEAR // 2


def test_it_is_the_same_everywhere_and_for_ever() -> None:
    """Others compute it too: its value must not move."""
    assert fingerprint("one two three", is_html=False) == fingerprint("<p>One, TWO\n3 three!</p>", is_html=True)
    assert (
        fingerprint("one two three", is_html=False)
        == "minhash1:901e770de3c23b75bcf2708daecc2be6a2cacb2a446472b9966db187da7833be"
    )


@pytest.mark.parametrize("text", ["", "two words", "https://a.example/b c@d.example 1 2 3 4"])
def test_a_text_of_hardly_any_words_has_none(text: str) -> None:
    """Else all empty messages were copies of each other."""
    assert fingerprint(text, is_html=False) == ""


@pytest.mark.parametrize("other", ["", "abc", "minhash1:abc", "minhash2:" + "0" * 64, "minhash1:" + "0" * 65])
def test_others_fingerprints_have_no_marks(other: str) -> None:
    """What can't be compared is told from what matches nothing."""
    assert marks_of(other) == frozenset()


@pytest.mark.parametrize("bomb", ["<" * 300_000, "<script>" * 40_000, "a" * 300_000, "a@" * 150_000, "&" * 300_000])
def test_hostile_text_is_gone_through_once(bomb: str) -> None:
    """Were a step quadratic, this would not end."""
    assert fingerprint(bomb, is_html=True) == ""
