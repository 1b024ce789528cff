"""Promise: every line of the README that operates Quell works as printed, with the real grpcurl."""

import re
import subprocess
from pathlib import Path

import pytest

from house import ROOT, free_ports, up

LINES = re.search(r"## Operate it by grpcurl.*?```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
PORTS = re.compile(r"127\.0\.0\.1:74(4\d)")


@pytest.mark.timeout(180)
def test_every_line_works_as_printed(tmp_path: Path) -> None:
    """They are run in order on a fresh deployment; only folder and ports are put in their places."""
    assert LINES is not None
    base = free_ports()
    script = LINES.group(1).replace(".quell/", f"{tmp_path}/quell/")
    script = PORTS.sub(lambda match: f"127.0.0.1:{base + int(match.group(1)) - 43}", script)
    with up(tmp_path / "quell", base):
        ran = subprocess.run(  # noqa: S603 - the README's own lines
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    for seen in (
        "quell.actioncenter.v1.ActionService is a service",
        "INVESTIGATION_STATE_PENDING_APPROVAL",
        "ACTION_STATE_SUCCEEDED",
        "URL_ANSWER_BLOCKED",
        '"undo_of": "actions/48b820ec-cba5-5678-8e04-41019bf8c6a5"',
        "*.evil.test",
        "*.evil2.test",
    ):
        assert seen in ran.stdout, f"{seen} was not seen in:\n{ran.stdout}\n{ran.stderr}"
