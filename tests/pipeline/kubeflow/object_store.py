"""A real S3 server over HTTP, and the launcher's way of copying folders to and from it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

SCHEMES = ("s3", "minio")


class ObjectStore:
    """One bucket of an S3 server. KFP's `minio://` and `s3://` speak the same protocol."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self.bucket = bucket
        self.uploaded = 0
        self.downloaded = 0
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def create(self) -> None:
        """Make the bucket."""
        self._client.create_bucket(Bucket=self.bucket)

    def upload(self, path: Path, uri: str) -> None:
        """Copy a file or a folder, as objectstore.UploadBlob does: empty folders are lost; nothing is no error."""
        prefix = self._key(uri)
        if path.is_file():
            self._put(path, prefix)
        for root, _, names in os.walk(path):
            for name in names:
                file = Path(root) / name
                self._put(file, f"{prefix}/{file.relative_to(path)}")

    def download(self, uri: str, path: Path) -> None:
        """Copy all objects whose key begins with the URI's, as objectstore.DownloadBlob does.

        A prefix is no folder: asked for `.../model`, it brings `.../model_run` as well.
        """
        prefix = self._key(uri)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", ()):
                target = Path(os.path.normpath(path / os.path.relpath(item["Key"], prefix)))
                target.parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(self.bucket, item["Key"], str(target))
                self.downloaded += target.stat().st_size

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all objects below a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _put(self, file: Path, key: str) -> None:
        self._client.upload_file(str(file), self.bucket, key)
        self.uploaded += file.stat().st_size

    def _key(self, uri: str) -> str:
        parts = urlsplit(uri)
        if parts.scheme not in SCHEMES or parts.netloc != self.bucket:
            # bucketConfig.KeyFromURI
            raise ValueError(f"{uri} does not have the prefix of bucket {self.bucket}")
        return parts.path.lstrip("/")


@contextmanager
def serving(bucket: str = "mlpipeline") -> Iterator[ObjectStore]:
    """Serve an empty bucket on a free port of this machine."""
    # It would print every request.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = ObjectStore(f"http://{host}:{port}", bucket)
        store.create()
        yield store
    finally:
        server.stop()
