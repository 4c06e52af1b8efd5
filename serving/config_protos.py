"""The configuration messages TF Serving reads that its Python wheel does not carry, declared here field by field.

Sources: servables/tensorflow/session_bundle_config.proto (BatchingParameters), config/monitoring_config.proto,
config/ssl_config.proto. Only text files of them are read, so the field numbers never travel.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_T = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "tensorflow.serving"

_Field = tuple[str, int, int | str, bool]
_INT64, _DOUBLE, _STRING = (
    ".google.protobuf.Int64Value",
    ".google.protobuf.DoubleValue",
    ".google.protobuf.StringValue",
)
_BOOL = ".google.protobuf.BoolValue"

_MESSAGES: dict[str, list[_Field]] = {
    "BatchingParameters": [
        ("max_batch_size", 1, _INT64, False),
        ("batch_timeout_micros", 2, _INT64, False),
        ("max_enqueued_batches", 3, _INT64, False),
        ("num_batch_threads", 4, _INT64, False),
        ("thread_pool_name", 5, _STRING, False),
        ("allowed_batch_sizes", 6, _T.TYPE_INT64, True),
        ("pad_variable_length_inputs", 7, _T.TYPE_BOOL, False),
        ("enable_large_batch_splitting", 8, _BOOL, False),
        ("max_execution_batch_size", 9, _INT64, False),
    ],
    "PrometheusConfig": [("enable", 1, _T.TYPE_BOOL, False), ("path", 2, _T.TYPE_STRING, False)],
    "MonitoringConfig": [("prometheus_config", 1, f".{_PACKAGE}.PrometheusConfig", False)],
    "SSLConfig": [
        ("server_key", 1, _T.TYPE_STRING, False),
        ("server_cert", 2, _T.TYPE_STRING, False),
        ("custom_ca", 3, _T.TYPE_STRING, False),
        ("client_verify", 4, _T.TYPE_BOOL, False),
    ],
}


def _build() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="melanosizer/serving_config.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = _T.LABEL_REPEATED if repeated else _T.LABEL_OPTIONAL
            one = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                one.type, one.type_name = _T.TYPE_MESSAGE, kind
            else:
                one.type = _T.Type.ValueType(kind)
    pool.Add(file)
    return pool


_POOL = _build()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


BatchingParametersProto = _class("BatchingParameters")
MonitoringConfig = _class("MonitoringConfig")
SSLConfig = _class("SSLConfig")
