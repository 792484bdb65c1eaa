"""Generates the client's messages and stubs from the contract. Run by `make protos`.

The pinned protoc and the stub plugins require different protobuf releases, hence two virtual environments:
PROTOC_PYTHON runs grpcio-tools, STUBS_BIN contains mypy-protobuf's plugins. The output is reproducible.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
RECORD = PROTOS / "contract.sha256"
DESCRIPTORS = "contract.binpb"
"""The contract as a FileDescriptorSet, for tools without a compiler."""


def sources() -> list[Path]:
    """Return the proto files in a fixed order."""
    return sorted((PROTOS / "discordproxy").glob("*.proto"))


def fingerprint() -> str:
    """Return the SHA-256 of all sources: it detects an edited proto without running the generators."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def generate(out: Path, protoc_python: str, stubs_bin: Path) -> None:
    """Write all generated files to `out`."""
    command = [protoc_python, "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    command += [f"--plugin=protoc-gen-{name}={stubs_bin / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    command += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    command += [f"--descriptor_set_out={out / DESCRIPTORS}", "--include_imports"]
    subprocess.run([*command, *map(str, sources())], check=True)
    for stub in (out / "discordproxy").glob("*_pb2_grpc.py*"):
        if stub.name.split("_pb2")[0] != "discord_api":  # the client uses the stubs of this service only
            stub.unlink()


def main() -> None:
    """Generate the files; in the client package, also record the fingerprint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protoc-python", default=sys.executable)
    parser.add_argument("--stubs-bin", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PROTOS.parent / "client")
    args = parser.parse_args()
    generate(args.out, args.protoc_python, args.stubs_bin.resolve())
    if args.out == PROTOS.parent / "client":
        RECORD.write_text(fingerprint() + "\n")
        (args.out / DESCRIPTORS).replace(PROTOS / DESCRIPTORS)


if __name__ == "__main__":
    main()
