"""GetModelStatus and GetModelMetadata (model_servers/get_model_status_impl.cc, get_model_metadata_impl.cc)."""

from __future__ import annotations

from typing import Any

from serving.protos import get_model_metadata_pb2, get_model_status_pb2
from serving.status import invalid_argument, not_found
from serving.versions.core import ServerCore
from serving.versions.manager import VersionStatus

SIGNATURE_DEF = "signature_def"


def _add(response: Any, version: int, status: VersionStatus) -> None:
    one = response.model_version_status.add(version=version, state=int(status.state))
    one.status.SetInParent()
    if status.error is not None:
        one.status.error_code = int(status.error.code)
        one.status.error_message = status.error.message


def get_model_status(core: ServerCore, request: Any) -> Any:
    """All versions ever seen of a model, newest first, or the one that is asked for."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    response = get_model_status_pb2.GetModelStatusResponse()
    statuses = core.manager.statuses(spec.name)
    choice = spec.WhichOneof("version_choice")
    if choice is not None:
        version = (
            int(spec.version.value)
            if choice == "version"
            else core.version_of_label(spec.name, spec.version_label)
        )
        status = statuses.get(version)
        if status is None:
            raise not_found(f"Could not find version {version} of model {spec.name}")
        _add(response, version, status)
        return response
    if not statuses:
        raise not_found(f"Could not find any versions of model {spec.name}")
    for version, status in statuses.items():
        _add(response, version, status)
    return response


def get_model_metadata(core: ServerCore, request: Any) -> Any:
    """The signatures of a model; `signature_def` is the only metadata field there is."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with core.use(request.model_spec) as model:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in model.signatures.items():
            signatures.signature_def[key].CopyFrom(signature)
        response.model_spec.name = model.name
        response.model_spec.version.value = model.version
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
