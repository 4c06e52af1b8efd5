"""Encodes records as tf.train.Example without TensorFlow, whose import takes longer than a small data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Value = bytes | int | float


def encode(features: Mapping[str, Value]) -> bytes:
    """Return the serialised Example of one value a feature: bytes, int64 or float32, by Python's type.

    Equal features give equal bytes.
    """
    example = _example_class()()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.float_list.value.append(value)
    return bytes(example.SerializeToString(deterministic=True))


@cache
def _example_class() -> Any:
    """Build the message of tensorflow/core/example/{example,feature}.proto in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(
        name="melanosizer/example.proto", package="melanosizer", syntax="proto3"
    )
    kind = descriptor_pb2.FieldDescriptorProto
    for name, type_ in (
        ("BytesList", kind.TYPE_BYTES),
        ("FloatList", kind.TYPE_FLOAT),
        ("Int64List", kind.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        values = message.field.add(name="value", number=1, type=type_, label=kind.LABEL_REPEATED)
        if type_ != kind.TYPE_BYTES:
            values.options.packed = True
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        feature.field.add(
            name=name.replace("List", "_list").lower(),
            number=number,
            type=kind.TYPE_MESSAGE,
            type_name=f".melanosizer.{name}",
            label=kind.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=kind.TYPE_MESSAGE,
        type_name=".melanosizer.Feature",
        label=kind.LABEL_OPTIONAL,
    )
    features.field.add(
        name="feature",
        number=1,
        type=kind.TYPE_MESSAGE,
        type_name=".melanosizer.Features.FeatureEntry",
        label=kind.LABEL_REPEATED,
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        type=kind.TYPE_MESSAGE,
        type_name=".melanosizer.Features",
        label=kind.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("melanosizer.Example"))
