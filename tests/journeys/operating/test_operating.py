"""Promise: every line of the operator's guide works as printed, and it names every key of every configuration."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from house import ROOT, free_ports, up
from quell_actioncenter.settings import ActionCenterSettings
from quell_agent.settings import AgentSettings
from quell_device.settings import DeviceSettings
from quell_email.settings import EmailSettings

GUIDE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh ?(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
PORTS = re.compile(r"127\.0\.0\.1:74(4\d)")
PATH = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"


@pytest.mark.timeout(480)
def test_every_line_works_as_printed(tmp_path: Path) -> None:
    """In order, in a folder with the clone's environment; only the ports are others."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    base = free_ports()
    said = ""
    runs = False
    with ExitStack() as running:
        for kind, block in BLOCKS:
            if kind and runs:
                running.close()
            elif not kind and not runs:
                running.enter_context(up(tmp_path / ".quell", base))
            runs = not kind
            if kind == "services":
                services(block, tmp_path)
            else:
                said += ran(PORTS.sub(lambda port: f"127.0.0.1:{base + int(port[1]) - 43}", block), tmp_path)
    for seen in ("SUCCEEDED", "has no mistakes", "not frozen", "another year", "entries hold", '"SERVING"'):
        assert seen in said, said


def ran(script: str, folder: Path) -> str:
    """Run lines in a shell and return what they printed."""
    command = ["/bin/bash", "-euo", "pipefail", "-c", script]
    found = subprocess.run(  # noqa: S603 - the guide's own lines
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, f"{script}\n{found.stdout}\n{found.stderr}"
    return found.stdout


def services(block: str, folder: Path) -> None:
    """Start each line as a service; all are ready, and end with 0 when they are told to."""
    with ExitStack() as running:
        for line in block.splitlines():
            running.enter_context(service(line.split(), folder))


@contextmanager
def service(command: list[str], folder: Path) -> Iterator[None]:
    """Have a service running."""
    with subprocess.Popen(  # noqa: S603 - the guide's own lines
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        yield
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert (first, process.returncode) == ("ready\n", 0), errors


def environment() -> dict[str, str]:
    """Return the environment of somebody who has just opened a terminal."""
    return {name: value for name, value in os.environ.items() if not name.startswith("QUELL")} | {"PATH": PATH}


@pytest.mark.parametrize("settings", [ActionCenterSettings, DeviceSettings, EmailSettings])
def test_every_key_is_named(settings: type[BaseModel]) -> None:
    """With its table."""
    named = set(re.findall(r"`\[{0,2}(?:[a-z_]+\.)?([a-z_]+)\]{0,2}`", GUIDE))
    assert keys(settings) <= named


def test_the_agents_keys_are_named() -> None:
    """All of them."""
    for each in fields(AgentSettings):
        assert f"`{each.name}`" in GUIDE


def keys(model: type[BaseModel]) -> set[str]:
    """Return the keys of a configuration and of the tables in it."""
    found = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in models(field.annotation):
            found |= keys(inner)
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - whatever stands behind a colon
    """Yield the tables that a type has within."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, UnionType) or get_args(annotation):
        for each in get_args(annotation):
            yield from models(each)
