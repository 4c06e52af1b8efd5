"""`melanosizer predict`: ask a model server about images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.errors import RunFaultError, UsageError
from pipeline.console import table


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="The JPEG or PNG files that are sent.", metavar="IMAGE...")
    ],
    server: Annotated[str, typer.Option(help="The HOST:PORT of the gRPC server.")] = "127.0.0.1:8500",
    model: Annotated[str, typer.Option(help="The name of the model on the server.")] = "melanoma",
    version: Annotated[
        int | None,
        typer.Option(
            "--model-version", help="The version that answers. Without it, the newest that is served."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The label of the version that answers, as in stable or canary.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON, one object for each image.")] = False,
    timeout: Annotated[float, typer.Option(help="The seconds to wait for an answer.")] = 30.0,
    ca: Annotated[
        Path | None, typer.Option(help="The PEM file of the authority to trust; it turns TLS on.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="The PEM file of this client's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="The PEM file of this client's key.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="The file that holds the bearer token.")] = None,
) -> None:
    """Ask a model server (this one or TensorFlow Serving) for the probability of melanoma in images.

    Example:  melanosizer predict lesion.jpg --server 127.0.0.1:8500
    """
    import grpc

    from core.tfserving.channel import ClientError, CredentialsError, Options, Tls
    from core.tfserving.client import Client
    from core.tfserving.tensors import InvalidResponseError

    data = [_read(path) for path in images]
    if version is not None and label is not None:
        raise UsageError("--model-version and --label exclude each other: give one of them")
    tls = Tls(ca, key, cert) if ca is not None or cert is not None else None
    try:
        with Client(server, Options(timeout_s=timeout, tls=tls, token=token_file)) as client:
            answer = client.predict(model, {"image_bytes": data}, version=version, label=label)
    except CredentialsError as error:
        raise UsageError(error.message) from None
    except InvalidResponseError as error:
        raise RunFaultError(f"{server}: {error}") from None
    except ClientError as error:
        if error.code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.UNAUTHENTICATED,
        ):
            raise UsageError(f"{server} refused: {error.message}") from None
        raise RunFaultError(
            f"no answer from {server}: {error.code.name}: {error.message}. Is `melanosizer serve` running?"
        ) from None
    rows = [_row(path, answer.outputs, i, answer.version) for i, path in enumerate(images)]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    Console().print(_table(rows, model, server))


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError(
            f"{path}: is a folder; `melanosizer predict-batch --images {path} --out FILE.csv` reads one"
        )
    from core.images.decode import ImageRefusedError
    from core.images.normalise import normalise

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        # TensorFlow Serving looks at no image before the graph does.
        return normalise(data).data
    except ImageRefusedError:
        # The server says why, in its own words.
        return data


def _row(path: Path, outputs: Mapping[str, Any], index: int, version: int) -> dict[str, Any]:
    row: dict[str, Any] = {"image": str(path)}
    for key, array in outputs.items():
        value = array[index] if array.ndim else array[()]
        row[key] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value.tolist()
    row["version"] = str(version)
    return row


def _table(rows: list[dict[str, Any]], model: str, server: str) -> Table:
    cells = []
    for row in rows:
        decision = row.get("decision")
        said = "" if decision is None else "suspicious" if decision else "not suspicious"
        probability, threshold = (_number(row.get(name)) for name in ("probability", "threshold"))
        cells.append((row["image"], probability, said, str(row.get("zone", "")), threshold, row["version"]))
    return table(
        f"{model} at {server}",
        ("image", "probability", "decision", "zone", "threshold", "version"),
        cells,
        right=("probability", "decision", "threshold", "version"),
    )


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""
