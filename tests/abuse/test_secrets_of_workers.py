"""What reads hostile files and mail is told nothing of us: a token in the environment stays with the agent."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from quell_agent.scan import Rules
from quell_agent.scan_workers import Workers
from quell_email.parsing.parser import Parser
from started import Started

SECRET = "quell1.c2VjcmV0"  # noqa: S105 - made up
RULE = 'rule r { strings: $a = "evil" condition: $a }'


def _environments(started: Started) -> list[str]:
    return [" ".join(each.environ().values()) for each in started.now()]


async def test_scan_workers_see_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the agent, while they work."""
    monkeypatch.setenv("QUELL_TOKEN", SECRET)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yar").write_text(RULE)
    (tmp_path / "bad").write_text("evil")
    compiled = await Rules(tmp_path / "rules", tmp_path / "cache").compiled()
    found, started = [], Started()
    async with Workers(compiled.path, 100) as workers:
        async for seen in workers.seen(iter([str(tmp_path / "bad")])):
            assert [hit.rule for hit in seen.hits] == ["r"]
            found = _environments(started)
    assert found
    assert SECRET not in " ".join(found)


def test_the_mail_parser_sees_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the email service."""
    monkeypatch.setenv("QUELL_TOKEN", SECRET)
    started = Started()
    with closing(Parser()) as parser:
        assert parser.headers(b"Subject: x\n\n")
        found = _environments(started)
    assert found
    assert SECRET not in " ".join(found)
    assert os.environ["QUELL_TOKEN"] == SECRET
