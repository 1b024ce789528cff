"""Make the agent's list of what ForensicArtifacts defines for Linux; `--check` tells whether the stored one is that.

The agent needs names, files and places only: what loads them whole takes seconds and a YAML library.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import artifacts
from artifacts import reader, registry

TARGET = Path(__file__).parents[1] / "agent/quell_agent/package/definitions.json"
KINDS = {"FILE": "files", "PATH": "places"}
LICENCE = (
    "Made of ForensicArtifacts (https://github.com/ForensicArtifacts/artifacts), by its authors, "
    "Apache License 2.0; only names and Linux paths are kept"
)


def sources() -> Iterator[tuple[str, Any]]:
    """Yield each source of each definition that is meant for Linux, with the definition's name."""
    known = registry.ArtifactDefinitionsRegistry()
    known.ReadFromDirectory(reader.YamlArtifactsReader(), str(Path(artifacts.__file__).parent / "data"))
    for definition in known.GetDefinitions():
        if "Linux" in definition.supported_os:
            for source in definition.sources:
                if not source.supported_os or "Linux" in source.supported_os:
                    yield definition.name, source


def made() -> str:
    """Return the list as it is stored."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, source in sources():
        if source.type_indicator in KINDS:
            paths = found.setdefault(name, {}).setdefault(KINDS[source.type_indicator], [])
            paths += [path for path in source.paths if path not in paths and not path.startswith("/private/")]
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    head = json.dumps({"licence": LICENCE, "version": version("artifacts")}, indent=1).removesuffix("\n}")
    return f'{head},\n "definitions": {{\n{rows}\n }}\n}}\n'


def main() -> None:
    """Write it, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        TARGET.write_text(made(), encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != made():
        sys.exit(f"{TARGET.name} is not what `python tools/artifact_definitions.py` makes")


if __name__ == "__main__":
    main()
