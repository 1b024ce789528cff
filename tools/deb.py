"""Build the agent's Debian package: the wheel and its locked dependencies as a virtual environment in /opt/quell-agent.

    python tools/deb.py [--version 0.1.0] [--to dist]

It needs dpkg-deb, and the package index or pip's cache. The package fits the machine's architecture and Python.
"""

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
HOME = "opt/quell-agent"
SCRIPTS = ("postinst", "prerm", "postrm")
LAUNCHER = "#!/opt/quell-agent/bin/python -I\nimport sys\n\nfrom quell_agent.__main__ import main\n\nsys.exit(main())\n"


def needed(name: str, extras: frozenset[str], found: set[str]) -> set[str]:
    """Add the names of all that a distribution needs to those that were found, by what is installed here."""
    for text in requires(name) or ():
        wanted = Requirement(text)
        holds = wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in (*extras, ""))
        own = canonicalize_name(wanted.name)
        if holds and own not in found and own != canonicalize_name(name):
            found.add(own)
            needed(wanted.name, frozenset(wanted.extras), found)
    return found


def locked(names: set[str]) -> str:
    """Return the lines of the lock for some names, with their hashes."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    chosen = [block for block in blocks if canonicalize_name(block.partition("==")[0]) in names]
    if len(chosen) != len(names):
        raise SystemExit(f"deb: not all of {', '.join(sorted(names))} are in the lock")
    return "\n".join(chosen) + "\n"


def pip(*arguments: str | Path) -> None:
    """Run pip."""
    command: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
    subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own arguments


def install(tree: Path, scratch: Path) -> None:
    """Install the agent below a folder."""
    home = tree / HOME
    site = home / f"lib/python3.{sys.version_info.minor}/site-packages"
    requirements = scratch / "requirements.txt"
    requirements.write_text(locked(needed("quell", frozenset({"yara", "sample"}), set())), encoding="utf-8")
    pip("install", "--require-hashes", "--no-deps", "--no-compile", "--target", site, "-r", requirements)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, ROOT)
    pip("install", "--no-deps", "--no-compile", "--no-index", "--target", site, *scratch.glob("quell-*.whl"))
    shutil.rmtree(site / "bin", ignore_errors=True)
    for needless in ("quell_actioncenter", "quell_device", "quell_email", "quell_cli"):
        shutil.rmtree(site / needless)
    compileall.compile_dir(
        site,
        quiet=2,
        stripdir=str(tree),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    (home / "bin").mkdir()
    (home / "bin/python").symlink_to("/usr/bin/python3")
    (home / "bin/quell-agent").write_text(LAUNCHER, encoding="utf-8")
    (home / "bin/quell-agent").chmod(0o755)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8")


def furnish(tree: Path) -> None:
    """Add configuration, units and the page for operators."""
    for source, target in (
        *((unit, "lib/systemd/system") for unit in sorted((DEPLOY / "systemd").glob("*.service"))),
        *((rules, "usr/lib/quell-agent") for rules in sorted((DEPLOY / "systemd").glob("*.nft"))),
        (DEPLOY / "debian/agent.toml", "etc/quell-agent"),
        *((page, "usr/share/doc/quell-agent") for page in sorted((ROOT / "docs/device-actions").glob("*.md"))),
        (ROOT / "docs/operating.md", "usr/share/doc/quell-agent"),
        (ROOT / "LICENSE", "usr/share/doc/quell-agent"),
    ):
        (tree / target).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tree / target)
    (tree / "etc/quell-agent").chmod(0o700)


def describe(tree: Path, version: str) -> None:
    """Write what dpkg reads."""
    about = tree / "DEBIAN"
    about.mkdir(mode=0o755)
    size = sum(path.lstat().st_size for path in tree.rglob("*")) >> 10
    minor = sys.version_info.minor
    text = (DEPLOY / "debian/control").read_text(encoding="utf-8")
    fields = {"version": version, "architecture": architecture(), "size": size}
    (about / "control").write_text(
        text.format(**fields, python=f"3.{minor}", next_python=f"3.{minor + 1}"), encoding="utf-8"
    )
    (about / "conffiles").write_text("/etc/quell-agent/agent.toml\n", encoding="utf-8")
    for script in SCRIPTS:
        shutil.copy(DEPLOY / "debian" / script, about / script)
        (about / script).chmod(0o755)


def architecture() -> str:
    """Return Debian's name of this machine's architecture."""
    asked = ["/usr/bin/dpkg", "--print-architecture"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - fixed


def build(version: str, target: Path) -> Path:
    """Build the package, and return where it is."""
    os.umask(0o022)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        install(tree, Path(folder))
        furnish(tree)
        describe(tree, version)
        package = target / f"quell-agent_{version}_{architecture()}.deb"
        command: list[str | Path] = ["/usr/bin/dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, package]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own arguments
    return package


def main() -> None:
    """Build it."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    parser = argparse.ArgumentParser(description="Build the agent's Debian package.")
    parser.add_argument("--version", default=known)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", metavar="FOLDER")
    chosen = parser.parse_args()
    print(build(chosen.version, chosen.to))


if __name__ == "__main__":
    main()
