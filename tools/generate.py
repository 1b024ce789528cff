"""Generate the Python code of the contracts, and an image of them for the proto linter.

The rules of protovalidate come from its wheel as a descriptor, since the wheel has no `.proto` file. `--check` changes
nothing and fails if the committed code is not what the contracts say.
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = PROTOS / "gen" / "python"
WELL_KNOWN = files("grpc_tools") / "_proto"


def rules_of_protovalidate(folder: Path) -> Path:
    """Write `buf/validate/validate.proto` and all that it needs as a descriptor set, and return where."""
    found = descriptor_pb2.FileDescriptorSet()
    needed = (
        descriptor_pb2.DESCRIPTOR,
        duration_pb2.DESCRIPTOR,
        timestamp_pb2.DESCRIPTOR,
        struct_pb2.DESCRIPTOR,
    )
    for file in needed:
        file.CopyToProto(found.file.add())
    found.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    path = folder / "validate.binpb"
    path.write_bytes(found.SerializeToString())
    return path


def contracts() -> list[str]:
    """Return the contracts' paths below `protos`, sorted."""
    return sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "quell").rglob("*.proto"))


def protoc(descriptors: Path, *arguments: str) -> None:
    """Run the protocol compiler that comes with grpcio-tools."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={descriptors}", f"-I{PROTOS}"]
    # The compiler finds its plugins by PATH; ours lie beside this Python.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([*command, f"-I{WELL_KNOWN}", *arguments], check=True, env=environment)  # noqa: S603


def generate(target: Path) -> None:
    """Generate everything into `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        rules = rules_of_protovalidate(Path(scratch))
        protoc(rules, f"--python_out={target}", f"--mypy_out={target}", "buf/validate/validate.proto")
        protoc(
            rules,
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out=quiet:{target}",
            *contracts(),
        )
    drop_empty_services(target)


def drop_empty_services(target: Path) -> None:
    """Remove the service modules of files that have no service."""
    for module in target.rglob("*_pb2_grpc.py"):
        if "Servicer" not in module.read_text(encoding="utf-8"):
            module.unlink()
            module.with_suffix(".pyi").unlink(missing_ok=True)


def image(path: Path) -> None:
    """Write the contracts with their comments as one descriptor set."""
    with tempfile.TemporaryDirectory() as scratch:
        rules = rules_of_protovalidate(Path(scratch))
        protoc(rules, "--include_source_info", "--include_imports", f"--descriptor_set_out={path}", *contracts())


def differences(left: Path, right: Path) -> list[str]:
    """Return the files that differ or that only one side has."""
    compared = filecmp.dircmp(left, right, ignore=["__pycache__"])
    found = [*compared.left_only, *compared.right_only, *compared.diff_files]
    for name in compared.common_dirs:
        found += differences(left / name, right / name)
    return found


def main(arguments: list[str]) -> int:
    """Generate, check, or write the image."""
    match arguments:
        case ["--check"]:
            with tempfile.TemporaryDirectory() as scratch:
                generate(Path(scratch))
                if changed := differences(Path(scratch), GENERATED):
                    print(f"the generated code is out of date ({', '.join(sorted(changed)[:5])}): run make proto")
                    return 1
        case ["--image", path]:
            image(Path(path))
        case []:
            with tempfile.TemporaryDirectory(dir=PROTOS) as scratch:
                generate(Path(scratch))
                shutil.rmtree(GENERATED, ignore_errors=True)
                GENERATED.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(scratch, GENERATED)
        case _:
            print("usage: generate.py [--check | --image PATH]")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
