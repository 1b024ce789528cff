"""What the agent is told about whose approvals it needs."""

from pathlib import Path

import pytest

from quell_agent.settings import AgentSettings, ConfigInvalidError
from quell_executor.quorum import Quorum

KEYS = [f"{number:02x}" * 32 for number in (1, 2)]


def written(tmp_path: Path, text: str) -> Path:
    """Write a configuration."""
    path = tmp_path / "agent.toml"
    path.write_text(f'data = "{tmp_path}"\n{text}')
    return path


def test_quorums_are_read_with_whose_keys_count(tmp_path: Path) -> None:
    """By kind; without them there are none."""
    assert AgentSettings.load(written(tmp_path, "")).quorums == {}
    text = f'[quorums]\nisolate_device = 2\n[approvers]\nann = ["{KEYS[0]}"]\nbob = ["{KEYS[1]}"]'
    quorum = Quorum(2, {b"\x01" * 32: "ann", b"\x02" * 32: "bob"})
    assert AgentSettings.load(written(tmp_path, text)).quorums == {"isolate_device": quorum}


@pytest.mark.parametrize(
    "text",
    [
        "quorums = 1",
        "approvers = 1",
        '[quorums]\nisolate_device = "1"',
        f'[quorums]\nisolate_device = 2\n[approvers]\nann = ["{KEYS[0]}", "{KEYS[1]}"]',
        f'[quorums]\nmake_coffee = 1\n[approvers]\nann = ["{KEYS[0]}"]',
        '[approvers]\nann = ["abc"]',
    ],
)
def test_what_can_not_be_met_is_refused(tmp_path: Path, text: str) -> None:
    """An agent that would wait for ever does not start."""
    with pytest.raises(ConfigInvalidError):
        AgentSettings.load(written(tmp_path, text))


def test_a_folder_that_others_write_is_refused(tmp_path: Path) -> None:
    """They could put rules and vaults of their own where a root process takes them for its own."""
    data = tmp_path / "data"
    config = written(tmp_path, "").rename(tmp_path / "other.toml")
    config.write_text(f'data = "{data}"')
    assert AgentSettings.load(config).data == data
    data.mkdir(mode=0o700)
    assert AgentSettings.load(config).data == data
    data.chmod(0o770)
    with pytest.raises(ConfigInvalidError, match="others can write there"):
        AgentSettings.load(config)


def test_where_the_gateway_can_be_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file, or from the environment; what is no network is refused, host bits too."""
    wide = AgentSettings.load(written(tmp_path, ""))
    assert wide.gateway_networks == ()
    text = 'gateway_networks = ["192.0.2.0/28", "2001:db8::/64"]'
    found = AgentSettings.load(written(tmp_path, text)).gateway_networks
    assert [str(each) for each in found] == ["192.0.2.0/28", "2001:db8::/64"]
    monkeypatch.setenv("QUELL_GATEWAY_NETWORKS", "192.0.2.0/28,2001:db8::/64")
    assert AgentSettings.load(written(tmp_path, "")).gateway_networks == found
    for bad in ("gateway", "192.0.2.7/28", ""):
        monkeypatch.setenv("QUELL_GATEWAY_NETWORKS", bad)
        with pytest.raises(ConfigInvalidError):
            AgentSettings.load(written(tmp_path, ""))
