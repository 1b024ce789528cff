"""A process begins and ends cleanly: one line and code 2 for what people can put right, no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quell_runtime.program import WRONG

PROGRAM = """
import sys
from functools import partial
from pydantic_settings import SettingsConfigDict, BaseSettings
from quell_runtime.config import load
from quell_runtime.errors import StateError
from quell_runtime.program import ready, run

class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="QUELL_", extra="forbid")
    log_level: str = "info"
    taken: bool = False

async def serve(settings, stop):
    if settings.taken:
        raise StateError("the folder is taken")
    ready()
    await stop.wait()
    sys.stderr.write("drained")

sys.exit(run("quell-test", partial(load, Settings), serve))
"""


def started(path: Path) -> subprocess.Popen[str]:
    """Start the program."""
    command = [sys.executable, "-c", PROGRAM, "--config", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("taken = true", "the folder is taken"),
        ("token = 1", "token is unknown; allowed: log_level, taken"),
        ("taken =", ""),
    ],
)
def test_what_people_can_put_right_is_one_line_and_code_2(tmp_path: Path, text: str, told: str) -> None:
    """No traceback."""
    path = tmp_path / "test.toml"
    path.write_text(text)
    process = started(path)
    out, err = process.communicate(timeout=30)
    assert process.returncode == WRONG
    assert out == ""
    assert err.startswith("quell-test: ")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_end_by_itself(tmp_path: Path, number: signal.Signals) -> None:
    """It says ready once it serves, and drains."""
    path = tmp_path / "test.toml"
    path.write_text("")
    process = started(path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "drained")
