"""A wrong configuration is one clear line that names the key."""

from pathlib import Path

import pytest

from quell_runtime import config
from quell_runtime.config import ConfigInvalidError, Section, Settings


class Click(Section):
    """A service's own table."""

    listen: config.Address
    retries: int = 3


class Mail(Settings):
    """A service's own keys."""

    domains: tuple[str, ...] = ()
    click: Click | None = None
    executors: tuple[Click, ...] = ()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a configuration that is whole, in an environment that says nothing."""
    for name in [name for name in __import__("os").environ if name.startswith(config.PREFIX)]:
        monkeypatch.delenv(name)
    for name in ("people.toml", "c.crt", "c.key", "ca.crt"):
        (tmp_path / name).write_text("")
    path = tmp_path / "mail.toml"
    path.write_text(
        f"""
deployment = "example"
data = "{tmp_path}"
people = "{tmp_path}/people.toml"
domains = ["example.org"]
[api]
listen = "127.0.0.1:7447"
certificate = "{tmp_path}/c.crt"
key = "{tmp_path}/c.key"
client_ca = "{tmp_path}/ca.crt"
[click]
listen = "[::1]:7448"
"""
    )
    return path


def changed(path: Path, old: str, new: str) -> Path:
    """Change a line of the file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_a_whole_file_is_read(written: Path) -> None:
    """Into typed, frozen settings."""
    found = config.load(Mail, written)
    assert found.api.listen.port == 7447
    assert found.click is not None
    assert found.click.listen.host == "::1"
    with pytest.raises(ValueError, match="frozen"):
        found.deployment = "other"


def test_the_environment_stands_above_the_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within tables."""
    monkeypatch.setenv("QUELL_API__LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("QUELL_DOMAINS", '["a.example"]')
    found = config.load(Mail, written)
    assert found.api.listen.port == 1
    assert found.api.key.name == "c.key"
    assert found.domains == ("a.example",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("domains", "domians", "domians is unknown; allowed: .*domains"),
        ("[click]\nlisten", "[click]\nlisten_on = 1\nlisten", "click.listen_on is unknown; allowed: listen, retries"),
        ("[click]", "[[executors]]\nlisten = 'h:1'\nname = 1\n[click]", "executors.0.name is unknown; allowed: listen"),
        ("client_ca", "clients", "api.client_ca is missing; api.clients is unknown"),
        ('deployment = "example"', "", "deployment is missing"),
        ('"example"', '"Not A Name"', "deployment: "),
        ("127.0.0.1:7447", "7447", "api.listen: HOST:PORT is needed"),
        ("ca.crt", "none.crt", "api.client_ca: Path does not point to a file"),
        ("[click]", "[click]\nretries = 'x'", "click.retries: "),
        ("[click]", "[metrics]\nlisten = '0.0.0.0:9'\n[click]", "metrics.listen: only loopback"),
        ("[click]", "[click", "mail.toml: "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(written: Path, old: str, new: str, told: str) -> None:
    """With what would have been right."""
    with pytest.raises(ConfigInvalidError, match=told) as refusal:
        config.load(Mail, changed(written, old, new))
    assert "\n" not in refusal.value.message
    assert str(written) in refusal.value.message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("QUELL_DOMIANS", "x", "QUELL_DOMIANS is unknown; allowed: "),
        ("QUELL_API__LISTEN_ON", "x", "api.listen_on is unknown"),
        ("QUELL_DOMAINS", "x", "domains"),
    ],
)
def test_a_wrong_variable_is_named_too(
    written: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """The environment is held to the same rules."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigInvalidError, match=told):
        config.load(Mail, written)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As it was given."""
    with pytest.raises(ConfigInvalidError, match=r"none\.toml: there is no such file"):
        config.load(Mail, tmp_path / "none.toml")
