"""An enrolment token comes back as it was made, and nothing else counts as one."""

import pytest

from quell_runtime.enrolment_token import EnrolmentToken, TokenInvalidError, digest_of, parse

TOKEN = EnrolmentToken("127.0.0.1:7446", "127.0.0.1:7445", b"l" * 32, b"r" * 32, b"s" * 32)


def test_a_token_comes_back_and_hides_its_secret() -> None:
    """Text and back is the same; its repr can be logged; a line break around it does not count."""
    text = TOKEN.text()
    assert parse(f" {text}\n") == TOKEN
    assert digest_of(text) == digest_of(f"{text}\n")
    assert len(text) <= 1024
    assert "ssss" not in repr(TOKEN)


@pytest.mark.parametrize("text", ["", "quell1.", "quell1.e30", "quell1.W10", "x" * 900, "quell1.\x00", "é"])
def test_what_is_no_token_is_refused(text: str) -> None:
    """Each is refused for what it is, not by an accident inside."""
    with pytest.raises(TokenInvalidError):
        parse(text)


def test_half_a_token_is_refused() -> None:
    """No prefix of a token is one."""
    text = TOKEN.text()
    for end in range(len(text)):
        with pytest.raises(TokenInvalidError):
            parse(text[:end])
