"""Promise: every line of the quick start works as printed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from house import ROOT, free_ports, up

(LINES,) = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "docs" / "quick-start.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.mark.timeout(180)
def test_every_line_works_as_printed(tmp_path: Path) -> None:
    """They are run in order on a fresh deployment; only its folder is another."""
    with up(tmp_path / "quell", free_ports()):
        ran = subprocess.run(  # noqa: S603 - the document's own lines
            ["/bin/bash", "-euo", "pipefail", "-c", LINES],
            cwd=ROOT,
            env=os.environ | {"QUELLDIR": str(tmp_path / "quell")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    for seen in ("fcaa82cc", "SUCCEEDED", "refused", "undone", "entries hold"):
        assert seen in ran.stdout, f"{seen} was not seen in:\n{ran.stdout}\n{ran.stderr}"
