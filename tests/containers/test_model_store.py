"""The copy to a bucket and back, over S3's protocol, by the programs that k8s/components/storage-s3 mounts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.features import MODEL_NAME
from tests.containers.engine import RESTRICTED, ROOT, Engine, Smoke
from tests.pipeline.kubeflow import object_store

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

PROGRAMS = ROOT / "k8s" / "components" / "storage-s3"


def test_what_is_released_reaches_a_server(
    engine: Engine, third_parties: str, smoke: Smoke, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    copied = tmp_path / "copied"
    copied.mkdir()
    copied.chmod(0o777)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "credentials").write_text(
        "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
    )
    released = tmp_path / "released"
    shutil.copytree(smoke.workspace / "serving", released)
    # A push that was cut off is not published.
    half = released / MODEL_NAME / ".99.partial"
    half.mkdir()
    (half / "saved_model.pb").write_bytes(b"half")
    with object_store.serving("models") as store:
        settings = {
            "RCLONE_CONFIG": "",
            "RCLONE_CACHE_DIR": "/tmp",
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            "RCLONE_CONFIG_STORE_REGION": "us-east-1",
            "RCLONE_CONFIG_STORE_ENDPOINT": store._client.meta.endpoint_url,
            "AWS_SHARED_CREDENTIALS_FILE": "/etc/model-store/credentials",
            "ONCE": "1",
        }

        def copy(source: str, target: str, *mounts: str) -> None:
            options = [part for key, value in settings.items() for part in ("--env", f"{key}={value}")]
            options += [part for mount in mounts for part in ("--volume", mount)]
            engine.docker(
                *("run", "--rm", "--network", "host", *RESTRICTED, "--tmpfs", "/tmp:mode=1777"),
                *("--volume", f"{PROGRAMS}:/programs:ro", "--volume", f"{credentials}:/etc/model-store:ro"),
                *(*options, third_parties, "/bin/sh", "/programs/copy.sh", source, target),
            )

        copy("/workspace/serving", "store:models/serving", f"{released}:/workspace/serving:ro")
        keys = store.keys("serving/")
        assert "serving/models.config" in keys
        assert not any("partial" in key for key in keys)
        copy("store:models/serving", "/workspace/serving", f"{copied}:/workspace/serving")
    shutil.rmtree(half)
    for path in released.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert (copied / path.relative_to(released)).read_bytes() == path.read_bytes()
