"""Promise: what is installed from the wheel has the contracts and every role, not only what lies in the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOOK = """
import importlib, pathlib, sys
for name in ("buf.validate.validate_pb2", "quell.warrant.v1.warrant_pb2", "quell_runtime.kinds"):
    module = importlib.import_module(name)
    assert pathlib.Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
from quell_runtime.kinds import kinds
print(len(kinds()))
"""


def test_the_wheel_holds_the_contracts_and_every_role(tmp_path: Path) -> None:
    """It is built, unpacked beside nothing else of ours, and imported from there."""
    # With the pinned build backend of the environment: a test asks no index.
    build = ["-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)  # noqa: S603 - our own arguments
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    site = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    folders = {path.name for path in (tmp_path / "installed").iterdir()}
    roles = {"quell_actioncenter", "quell_device", "quell_email", "quell_agent", "quell_cli", "quell_executor"}
    assert roles <= folders
    assert not (tmp_path / "installed" / "quell" / "__init__.py").exists()
    # -S leaves the checkout's editable install out; third-party packages are added by path.
    found = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-S", "-c", LOOK, tmp_path / "installed"],
        env={"PYTHONPATH": f"{tmp_path / 'installed'}:{site}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "20"
