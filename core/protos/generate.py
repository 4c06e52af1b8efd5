"""Writes the generated stubs beside their .proto files: `python -m core.protos.generate [FOLDER]`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("core/protos/prediction_service.proto",)
MESSAGES = (
    "core/protos/tensor.proto",
    "core/protos/model_server_config.proto",
    "core/protos/data_statistics.proto",
    "core/protos/example.proto",
    "core/protos/serving_config.proto",
    *SERVICES,
)
DEFAULT_POOL = "_descriptor_pool.Default()"
OWN_POOL = "_own_pool.POOL"
POOL_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"


def generate(folder: Path) -> list[Path]:
    """Writes `core/protos/*_pb2.py`, `*_pb2.pyi` and `*_pb2_grpc.py` under `folder`; the files written.

    Needs grpcio-tools, which only a developer has.
    """
    spec = find_spec("grpc_tools")
    if spec is None or spec.origin is None:
        raise RuntimeError("grpcio-tools is not installed: run `make setup`")
    well_known = Path(spec.origin).parent / "_proto"
    includes = [f"-I{ROOT}", f"-I{well_known}"]
    for kinds, protos in ((("python", "pyi"), MESSAGES), (("grpc_python",), SERVICES)):
        # In a process of its own: beside TensorFlow its copy of protobuf crashes.
        command = [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            *includes,
            *(f"--{kind}_out={folder}" for kind in kinds),
            *protos,
        ]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            raise RuntimeError(f"protoc failed with code {code}: read its message above")
    written = sorted((folder / "core" / "protos").glob("*_pb2*.py*"))
    for path in written:
        text = path.read_text()
        if DEFAULT_POOL in text:  # see pool.py
            text = text.replace(POOL_IMPORT, "from core.protos import pool as _own_pool\n")
            path.write_text(text.replace(DEFAULT_POOL, OWN_POOL))
    return written


if __name__ == "__main__":
    for made in generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT):
        print(made)
