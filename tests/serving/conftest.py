"""One server process for many tests, and the models it serves, made once."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.server_process import ServerProcess, model_config

MONITORING = "prometheus_config { enable: true }"
BATCHING = """
max_batch_size { value: 4 }
batch_timeout_micros { value: 20000 }
max_enqueued_batches { value: 2 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 2
allowed_batch_sizes: 4
"""


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders half/{1,2,3}, affine/{1,2}, many/1, examples/1, slow/1, images/{1,2}: y = x/2 + 1 + version."""
    with warnings.catch_warnings():
        # TensorFlow 1's builders say that they are deprecated.
        warnings.simplefilter("ignore")
        from tests.support import model_zoo

        root = tmp_path_factory.mktemp("zoo")
        for version in (1, 2, 3):
            model_zoo.half_plus(root / "half" / str(version), 1.0 + version)
        for version in (1, 2):
            model_zoo.affine(root / "affine" / str(version), 1.0 + version)
            model_zoo.images(root / "images" / str(version), bias=0.1 * (version - 1))
        model_zoo.many(root / "many" / "1")
        model_zoo.examples(root / "examples" / "1")
        model_zoo.slow(root / "slow" / "1")
    return root


Pick = Callable[..., Path]


@pytest.fixture
def pick(zoo: Path, tmp_path: Path) -> Pick:
    """Copy versions of a model into a base path of the test's own: `pick("half", 1, 2)`."""

    def copy(kind: str, *versions: int, to: Path | None = None) -> Path:
        base = to or tmp_path / "models" / kind
        base.mkdir(parents=True, exist_ok=True)
        for version in versions:
            # As a pusher does it: complete under another name first.
            partial = base / f"partial-{version}"
            shutil.copytree(zoo / kind / str(version), partial)
            partial.rename(base / str(version))
        return base

    return copy


@pytest.fixture(scope="session")
def server(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The shared server without batching: models half (2 and 3, labelled stable and canary), affine, many, images."""
    folder = tmp_path_factory.mktemp("server")
    config = folder / "models.config"
    config.write_text(
        str(
            model_config(
                {
                    "name": "half",
                    "base_path": zoo / "half",
                    "latest": 2,
                    "labels": {"stable": 2, "canary": 3},
                },
                {"name": "affine", "base_path": zoo / "affine"},
                {"name": "many", "base_path": zoo / "many"},
                {"name": "images", "base_path": zoo / "images", "latest": 2},
                {"name": "slow", "base_path": zoo / "slow"},
                {"name": "examples", "base_path": zoo / "examples"},
            )
        )
    )
    monitoring = folder / "monitoring.config"
    monitoring.write_text(MONITORING)
    with ServerProcess(
        folder,
        f"--model_config_file={config}",
        f"--monitoring_config_file={monitoring}",
        "--allow_version_labels_for_unavailable_models",
        "--enable_grpc_healthcheck_service",
        "--request_log_dir=" + str(folder / "records"),
        "--image_max_pixels=1000000",
        "--image_max_bytes=2000000",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def batching_server(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with batches of at most 4 rows, padded to 2 or 4, and a queue of 2 batches.

    It ends with its file: the scheduler's threads look every millisecond for work, from the first request on.
    """
    folder = tmp_path_factory.mktemp("batching")
    config, batching, monitoring = (
        folder / "models.config",
        folder / "batching.config",
        folder / "monitoring.config",
    )
    batching.write_text(BATCHING)
    monitoring.write_text(MONITORING)
    config.write_text(
        str(
            model_config(
                *(
                    {"name": kind, "base_path": zoo / kind}
                    for kind in ("half", "affine", "many", "slow", "images")
                )
            )
        )
    )
    with ServerProcess(
        folder,
        f"--model_config_file={config}",
        "--enable_batching",
        f"--batching_parameters_file={batching}",
        f"--monitoring_config_file={monitoring}",
    ) as running:
        yield running


class Refused:
    """The code and text of the gRPC error a block ended with."""

    code: grpc.StatusCode
    text: str
    trailing: dict[str, str]


class _Refusal:
    def __init__(self) -> None:
        self.seen = Refused()

    def __enter__(self) -> Refused:
        return self.seen

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert isinstance(error, grpc.RpcError), f"no gRPC error but {error!r}"
        self.seen.code, self.seen.text = error.code(), error.details()
        self.seen.trailing = dict(error.trailing_metadata() or ())
        return True


@pytest.fixture
def refused() -> Callable[[], _Refusal]:
    """`with refused() as it: call()`, then `it.code`, `it.text`."""
    return _Refusal


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A grey JPEG of 64 x 48 pixels."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 48), (128, 128, 128)).save(out, "JPEG")
    return out.getvalue()
