"""Promise: what protos/README.md says of clients works, and it tells every reason that any RPC may answer."""

import re
import subprocess
from pathlib import Path

from contracts import services
from house import ROOT
from quell_runtime.errors import NotPermittedError, QuellError
from quell_runtime.interceptors.outcome import CODES
from quell_runtime.interceptors.shell import CallerBusyError, StoppingError

README = (ROOT / "protos" / "README.md").read_text(encoding="utf-8")


def test_every_line_works_as_printed(tmp_path: Path) -> None:
    """In a folder with the clone's parts."""
    for name in (".venv", "tools", "protos"):
        (tmp_path / name).symlink_to(ROOT / name)
    (script,) = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    ran = subprocess.run(  # noqa: S603 - the document's own lines
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "quell.actioncenter.v1.ActionService is a service" in ran.stdout
    assert (tmp_path / "generated" / "quell" / "actioncenter" / "v1" / "action_pb2.py").exists()


def test_every_service_is_on_the_map() -> None:
    """Beside its package."""
    rows = dict(re.findall(r"^\| `(quell\.[a-z0-9.]+)` \| ([^|]+) \|", README, re.MULTILINE))
    for service in services():
        assert service.name in rows[service.file.package]


def test_the_reasons_of_the_shell_have_their_codes() -> None:
    """As the one table of errors says."""
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", README, re.MULTILINE))
    shells: tuple[type[QuellError], ...] = (*CODES, CallerBusyError, StoppingError, NotPermittedError)
    for error in shells:
        code = next(code for family, code in CODES.items() if issubclass(error, family))
        if error.reason != QuellError.reason:  # a family without a reason of its own
            assert told.get(error.reason, code.name) == code.name
    assert {"IDENTITY_INVALID", "NOT_PERMITTED", "DEADLINE_REQUIRED", "FIELD_INVALID", "INTERNAL"} <= told.keys()
